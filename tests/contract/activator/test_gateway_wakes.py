"""A real Envoy before a real activator: a pool at zero is woken by what comes to the gateway."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.facts import PodDemand
from paddock.kube.real import RealCluster
from paddock.local.control_plane import ControlPlane
from paddock.observe.demand import ask_gateways
from paddock.plan.gateway.rendering import Surroundings, render
from support.envoys import free_place, gateway
from support.pools import DIGEST
from support.stores import pool_of, ready_model, renamed
from support.zero import (
    CHAT,
    MODEL,
    Activator,
    Node,
    activator,
    headers_of,
    make_pool,
    node_of,
    scale_ups,
)

pytestmark = pytest.mark.contract
ASLEEP = "chat"


@pytest.fixture
def front(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Activator]:
    control_plane.wait_until_pods_are_admitted()
    with activator(control_plane, tmp_path / "activator") as found:
        yield found


@pytest_asyncio.fixture
async def node(cluster: RealCluster, namespace: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with node_of(cluster, namespace, tmp_path / "node") as node:
        yield node


def sleeper(namespace: str) -> InferencePool:
    pool = renamed(pool_of(EngineName.LLAMA_CPP, MODEL, scaling={"min": 0}), ASLEEP)
    return pool.model_copy(
        update={"metadata": pool.metadata.model_copy(update={"namespace": namespace})}
    )


async def test_requests_at_the_gateway_wake_the_pool_once(
    control_plane: ControlPlane, front: Activator, node: Node, namespace: str, tmp_path: Path
) -> None:
    make_pool(control_plane, namespace, node.port, scaling={"min": 0})
    place = free_place(tmp_path)
    models = {MODEL: ready_model(MODEL, DIGEST)}
    rendering = render(namespace, [sleeper(namespace)], models, Surroundings(place=place))
    backends = {f"{names.ACTIVATOR}.paddock-system": front.url.removeprefix("http://")}
    with gateway(rendering, place, tmp_path, backends) as envoy:
        async with httpx.AsyncClient(base_url=envoy.url, timeout=60) as client:
            spoofed = headers_of("other", "pool")
            answers = await asyncio.gather(
                *(client.post("/v1/chat/completions", json=CHAT, headers=spoofed)
                  for _ in range(20))
            )  # fmt: skip
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    assert scale_ups(control_plane, namespace) == 1


async def test_pods_that_are_there_are_asked_without_the_activator(
    control_plane: ControlPlane, front: Activator, node: Node, namespace: str, tmp_path: Path
) -> None:
    make_pool(control_plane, namespace, node.port, scaling={"min": 0})
    place = free_place(tmp_path)
    models = {MODEL: ready_model(MODEL, DIGEST)}
    rendering = render(namespace, [sleeper(namespace)], models, Surroundings(place=place))
    async with httpx.AsyncClient(base_url=front.url, timeout=60) as client:
        await client.post("/v1/chat/completions", json=CHAT, headers=headers_of(namespace))
    backends = {
        f"{names.ACTIVATOR}.paddock-system": "127.0.0.1:9",
        f"{ASLEEP}.{namespace}": node.engine_url.removeprefix("http://"),
    }
    with gateway(rendering, place, tmp_path, backends) as envoy:
        async with httpx.AsyncClient(base_url=envoy.url, timeout=60) as client:
            answer = await client.post("/v1/chat/completions", json=CHAT)
            passed = await ask_gateways(client, ASLEEP, [envoy.status_url])
            unknown = await ask_gateways(client, ASLEEP, [envoy.status_url, "http://127.0.0.1:9"])
    assert answer.status_code == 200, answer.text
    assert passed == PodDemand(0, "1")
    assert unknown is None

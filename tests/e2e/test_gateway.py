"""The front door on a full node: one URL for all models, and it stays open without the operator."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from click.testing import CliRunner

from paddock import names
from paddock.__main__ import main
from paddock.local.cluster import EmbeddedCluster
from support.clients import check_clients
from support.traffic import watched
from support.world import Manifest, World, inference_pool, local_model

pytestmark = pytest.mark.e2e
OPERATOR = ("-n", "paddock-system")


@pytest.fixture
def served(common: World, source: str) -> World:
    """Serve two models by two engines; what an earlier test changed is put right."""
    common.apply(
        local_model("tiny", source, storage={"size": "1Gi"}),
        inference_pool("cpp", "LlamaCpp", models=[{"name": "tiny", "as": "small"}]),
        inference_pool("oll", "Ollama", "tiny"),
    )
    for pool in ("cpp", "oll"):
        common.until_ready("inferencepool", pool)
    return common


@contextmanager
def without_operator(cluster: EmbeddedCluster) -> Iterator[None]:
    scale = (*OPERATOR, "scale", "deployment/paddock-operator")
    cluster.kubectl(*scale, "--replicas=0")
    own = ("-l", "app.kubernetes.io/component=operator")
    cluster.kubectl(*OPERATOR, "wait", "--for=delete", "pod", *own, "--timeout=60s")
    try:
        yield
    finally:
        cluster.kubectl(*scale, "--replicas=1")
        cluster.kubectl(*OPERATOR, "rollout", "status", "deployment/paddock-operator")


def ids(world: World) -> list[str]:
    return [each["id"] for each in httpx.get(f"{world.gateway}/v1/models").json()["data"]]


def test_settled_gateway_costs_no_write(served: World) -> None:
    before = len(served.operator_writes())
    served.cluster.kubectl(*OPERATOR, "rollout", "restart", "deployment/paddock-operator")
    served.cluster.kubectl(*OPERATOR, "rollout", "status", "deployment/paddock-operator")
    served.apply(local_model("probe", "hf://only-one-part"))
    served.until_reason("localmodel", "probe", "InvalidSpec")  # the new leader has worked

    new = served.operator_writes()[before:]
    assert [write for write in new if not write.name.startswith("probe")] == []


def test_one_url_serves_the_models_of_every_pool(served: World) -> None:
    for model in ("small", "tiny"):
        assert served.ask(model)["choices"][0]["message"]["role"] == "assistant"
    assert ids(served) == ["small", "tiny"]
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
        "options": {"num_predict": 4},
    }
    assert httpx.post(f"{served.gateway}/api/chat", json=body, timeout=30).json()["done"]
    assert httpx.post(f"{served.gateway}/api/pull", json={"model": "x"}).status_code == 403
    status, reason, message = served.condition("inferencepool", "cpp", "GatewayReady")
    assert (status, reason) == ("True", "Ready")
    assert message == f"http://paddock-gateway.{served.namespace}.svc serves the pool's models."


def test_clients_that_people_use_are_served_by_one_url(served: World) -> None:
    check_clients(served.gateway, "small", "tiny")


def test_new_name_is_routed_within_five_seconds_and_the_old_one_is_gone(served: World) -> None:
    began = time.monotonic()
    served.apply(inference_pool("cpp", "LlamaCpp", models=[{"name": "tiny", "as": "other"}]))
    served.until("the new name is listed", lambda: ids(served) == ["other", "tiny"], seconds=30)

    assert time.monotonic() - began < 5


def test_gateway_serves_and_starts_anew_without_the_operator(
    served: World, cluster: EmbeddedCluster
) -> None:
    with without_operator(cluster):
        assert served.ask("small")["choices"]
        (before,) = staying(served, "app.kubernetes.io/component=gateway")
        served.delete("pod", before["metadata"]["name"], "--grace-period=1")
        served.until("a new Envoy serves", lambda: answers(served, "small"))
        (engine,) = staying(served, "paddock.dev/pool=cpp")
        served.delete("pod", engine["metadata"]["name"], "--grace-period=1")
        served.until("the new engine is found", lambda: served_by_new(served, engine))


def staying(world: World, label: str) -> list[Manifest]:
    """Return the pods that are not on their way out, as an earlier revision's may be."""
    pods = world.every("pods", label)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def answers(world: World, model: str) -> bool:
    body = {"model": model, "prompt": "hi", "max_tokens": 1}
    try:
        answer = httpx.post(f"{world.gateway}/v1/completions", json=body, timeout=10)
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK


def served_by_new(world: World, old: dict[str, object]) -> bool:
    pods = world.every("pods", "paddock.dev/pool=cpp")
    names = {pod["metadata"]["name"] for pod in pods}
    gone = json.loads(json.dumps(old))["metadata"]["name"] not in names
    return gone and answers(world, "small")


def test_two_envoys_roll_without_a_failed_request(served: World) -> None:
    two = {"models": [{"name": "tiny", "as": "small"}], "gateway": {"replicas": 2}}
    served.apply(inference_pool("cpp", "LlamaCpp", **two))
    served.until("two Envoys serve", lambda: ready_envoys(served) == 2)
    own = ("-n", served.namespace, "rollout")
    with watched(served, names.GATEWAY, "small") as seen:
        served.cluster.kubectl(*own, "restart", f"deployment/{names.GATEWAY}")
        served.cluster.kubectl(*own, "status", f"deployment/{names.GATEWAY}", "--timeout=180s")

    assert seen.failed == []
    assert seen.answered > 0
    assert seen.fewest >= 2


def ready_envoys(world: World) -> int:
    return world.get("deployment", names.GATEWAY)["status"].get("readyReplicas", 0)


def test_gateway_goes_with_the_last_pool(served: World) -> None:
    served.delete("inferencepool", "cpp")
    served.until("its model is gone", lambda: ids(served) == ["tiny"])
    served.delete("inferencepool", "oll")
    served.until("no gateway is left", lambda: served.get("deployment", "paddock-gateway") is None)


def test_key_opens_a_guarded_pool_and_is_refused_within_five_seconds_of_its_end(
    world: World, source: str
) -> None:
    world.apply(
        local_model("tiny", source, storage={"size": "1Gi"}),
        inference_pool("cpp", "LlamaCpp", "tiny", gateway={"auth": {"apiKeys": "Accepted"}}),
    )
    world.until_ready("inferencepool", "cpp")
    options = ["--kubeconfig", str(world.cluster.kubeconfig), "-n", world.namespace]
    key = CliRunner().invoke(main, ["key", "create", "test", *options]).stdout.strip()
    assert status(world, "") == 401
    began = time.monotonic()
    world.until("the key opens", lambda: status(world, key) == 200, seconds=30)
    assert time.monotonic() - began < 5

    listed = CliRunner().invoke(main, ["key", "list", *options]).stdout.splitlines()
    CliRunner().invoke(main, ["key", "revoke", listed[-1].split()[0], *options])
    began = time.monotonic()
    world.until("the key is refused", lambda: status(world, key) == 401, seconds=30)
    assert time.monotonic() - began < 5


def status(world: World, key: str) -> int:
    body = {"model": "tiny", "prompt": "hi", "max_tokens": 1}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(
        f"{world.gateway}/v1/completions", json=body, headers=headers, timeout=10
    ).status_code

"""From zero with a real apiserver and a real llama-server: woken once, everyone answered."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import ollama
import pytest
import pytest_asyncio
from aiohttp import web

from paddock.kinds import DEPLOYMENTS
from paddock.kube.real import RealCluster
from paddock.local.control_plane import ControlPlane
from paddock.plan.engines.ollama import PROFILE as OLLAMA
from paddock.raw import number
from support.plane import kubectl
from support.zero import (
    CHAT,
    MODEL,
    TOKENS,
    Activator,
    Node,
    activator,
    headers_of,
    make_pool,
    node_of,
    scale_ups,
)

pytestmark = pytest.mark.contract
_SECONDS = 60.0


@pytest.fixture(scope="module")
def front(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Activator]:
    control_plane.wait_until_pods_are_admitted()
    folder = tmp_path_factory.mktemp("activator")
    with activator(
        control_plane, folder, "--heartbeat-seconds", "0.2", "--waiting", "120",
        "--hold-seconds", "30",
    ) as found:  # fmt: skip
        yield found


@pytest_asyncio.fixture
async def node(cluster: RealCluster, namespace: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with node_of(cluster, namespace, tmp_path / "node") as node:
        yield node


@pytest_asyncio.fixture
async def client(front: Activator) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=front.url, timeout=_SECONDS, limits=limits) as client:
        yield client


async def chat(client: httpx.AsyncClient, namespace: str) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=CHAT, headers=headers_of(namespace))


async def test_hundred_callers_at_once_are_one_scale_up_and_hundred_answers(
    control_plane: ControlPlane, client: httpx.AsyncClient, node: Node, namespace: str
) -> None:
    make_pool(control_plane, namespace, node.port, scaling={"min": 0})
    answers = await asyncio.gather(*(chat(client, namespace) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["choices"] for answer in answers)
    assert scale_ups(control_plane, namespace) == 1
    assert await node.tokens() == 100 * TOKENS


async def test_streaming_caller_hears_heartbeats_then_the_answer(
    control_plane: ControlPlane, client: httpx.AsyncClient, node: Node, namespace: str
) -> None:
    make_pool(control_plane, namespace, node.port, scaling={"min": 0})
    node.stalls = asyncio.Event()
    lines = []
    async with client.stream(
        "POST", "/v1/chat/completions", json={**CHAT, "stream": True}, headers=headers_of(namespace)
    ) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        async for line in answer.aiter_lines():
            lines.append(line)
            if lines.count(": waiting") == 2:
                node.stalls.set()
    assert lines.count(": waiting") >= 2
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    assert json.loads(events[0])["choices"][0]["delta"]


class Loading(Node):
    """Runs an engine that is healthy, and gives its first word after two heartbeats."""

    loaded: asyncio.Event

    async def engine(self, started: "asyncio.Future[None]") -> None:
        self.loaded = asyncio.Event()

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.method == "POST":
                await self.loaded.wait()
            return web.Response(text="data: [DONE]\n\n", content_type="text/event-stream")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=self.port).start()
        try:
            started.set_result(None)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


async def test_streaming_caller_hears_heartbeats_while_the_engine_loads_its_model(
    control_plane: ControlPlane,
    client: httpx.AsyncClient,
    cluster: RealCluster,
    namespace: str,
    tmp_path: Path,
) -> None:
    lines = []
    async with node_of(cluster, namespace, tmp_path / "node", kind=Loading) as node:
        assert isinstance(node, Loading)
        make_pool(control_plane, namespace, node.port, scaling={"min": 0})
        async with client.stream(
            "POST", "/v1/completions", json={**CHAT, "stream": True}, headers=headers_of(namespace)
        ) as answer:
            async for line in answer.aiter_lines():
                lines.append(line)
                if node.answers_at and lines[-1] == ": waiting":
                    node.loaded.set()
    assert lines.count(": waiting") >= 1
    assert lines[-2:] == ["data: [DONE]", ""]


async def test_ollama_client_waits_through_a_start_and_gets_its_stream(
    control_plane: ControlPlane,
    front: Activator,
    cluster: RealCluster,
    namespace: str,
    tmp_path: Path,
) -> None:
    async with node_of(cluster, namespace, tmp_path / "node", OLLAMA) as node:
        make_pool(control_plane, namespace, node.port, "Ollama", scaling={"min": 0})
        node.stalls, types = asyncio.Event(), list[str]()

        async def begun(answer: httpx.Response) -> None:
            types.append(answer.headers["content-type"])
            assert node.stalls is not None
            node.stalls.set()

        async with ollama.AsyncClient(
            front.url, headers=headers_of(namespace), timeout=_SECONDS,
            event_hooks={"response": [begun]},
        ) as client:  # fmt: skip
            asked = await client.generate(MODEL, "hi", options={"num_predict": TOKENS}, stream=True)
            parts = [part async for part in asked]
    assert types == ["application/x-ndjson"]
    assert parts[-1].done
    assert parts[-1].eval_count == TOKENS


async def test_ollama_client_is_told_that_a_pool_did_not_start(
    control_plane: ControlPlane, tmp_path: Path, namespace: str
) -> None:
    make_pool(control_plane, namespace, 9, "Ollama", scaling={"min": 0})
    with activator(control_plane, tmp_path / "a", "--hold-seconds", "1",
                   "--heartbeat-seconds", "0.3") as front:  # fmt: skip
        async with ollama.AsyncClient(
            front.url, headers=headers_of(namespace), timeout=_SECONDS
        ) as client:
            asked = await client.generate(MODEL, "hi", stream=True)
            with pytest.raises(ollama.ResponseError, match="The pool did not start in time"):
                [part async for part in asked]


async def test_caller_that_leaves_is_forgotten(
    control_plane: ControlPlane, client: httpx.AsyncClient, node: Node, namespace: str
) -> None:
    make_pool(control_plane, namespace, node.port, scaling={"min": 0})
    node.stalls = asyncio.Event()
    leaving = [asyncio.create_task(chat(client, namespace)) for _ in range(130)]
    refused = [await task for task in itertools.islice(asyncio.as_completed(leaving), 10)]
    assert {answer.status_code for answer in refused} == {429}
    assert refused[0].headers["retry-after"].isdigit()
    assert refused[0].json()["error"]["code"] == "queue_full"
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    node.stalls.set()
    answer = await until_served(client, namespace)
    assert answer.json()["choices"]
    assert await node.tokens() == TOKENS


async def until_served(client: httpx.AsyncClient, namespace: str) -> httpx.Response:
    """Ask until it is answered: places are given back when the activator has seen who left."""
    async with asyncio.timeout(_SECONDS):
        while True:
            answer = await chat(client, namespace)
            if answer.status_code == httpx.codes.OK:
                return answer


async def test_pool_that_never_starts_is_told_in_time(
    control_plane: ControlPlane, tmp_path: Path, namespace: str
) -> None:
    make_pool(control_plane, namespace, 9, scaling={"min": 0})
    with activator(control_plane, tmp_path / "a", "--hold-seconds", "1",
                   "--heartbeat-seconds", "0.3") as front:  # fmt: skip
        async with httpx.AsyncClient(base_url=front.url, timeout=_SECONDS) as client:
            plain = await chat(client, namespace)
            assert (plain.status_code, plain.json()["error"]["code"]) == (504, "start_timeout")
            streamed = await client.post(
                "/v1/chat/completions",
                json={**CHAT, "stream": True},
                headers=headers_of(namespace),
            )
    last = [line for line in streamed.text.splitlines() if line.startswith("data: ")][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "start_timeout"


async def test_only_the_gateway_of_the_namespace_is_heard(
    control_plane: ControlPlane, client: httpx.AsyncClient, namespace: str
) -> None:
    make_pool(control_plane, namespace, 9, scaling={"min": 0})
    kubectl(control_plane, "-n", namespace, "delete", "endpointslice", "paddock-gateway")
    answer = await chat(client, namespace)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert scale_ups(control_plane, namespace) == 0


@pytest.mark.parametrize("header", ["", "chat", "a/b/c", "../x", "A/b", "a/" + "b" * 400])
async def test_header_that_names_no_pool_is_refused(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.post("/v1/completions", headers={"x-paddock-pool": header})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "no_pool")


async def test_pool_that_its_owner_scaled_to_zero_is_left_there(
    control_plane: ControlPlane, client: httpx.AsyncClient, namespace: str
) -> None:
    make_pool(control_plane, namespace, 9, replicas=0)
    answer = await chat(client, namespace)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "pool_not_ready")
    assert answer.headers["retry-after"].isdigit()
    kubectl(control_plane, "-n", namespace, "delete", "deployment", "chat")
    assert (await chat(client, namespace)).status_code == 503
    kubectl(control_plane, "-n", namespace, "delete", "ipool", "chat")
    assert (await chat(client, namespace)).status_code == 404
    assert scale_ups(control_plane, namespace) == 0


async def test_pool_that_gave_zero_up_gets_the_replicas_its_owner_asks_for(
    control_plane: ControlPlane, cluster: RealCluster, client: httpx.AsyncClient, namespace: str
) -> None:
    make_pool(control_plane, namespace, 9, replicas=2)
    caller = asyncio.create_task(chat(client, namespace))
    async with asyncio.timeout(_SECONDS):
        while number(await cluster.get(DEPLOYMENTS, namespace, "chat"), "spec", "replicas") != 2:
            assert not caller.done(), caller.result().text
    caller.cancel()
    await asyncio.wait({caller})


async def test_body_larger_than_allowed_is_refused_before_anything_wakes(
    control_plane: ControlPlane, client: httpx.AsyncClient, namespace: str
) -> None:
    make_pool(control_plane, namespace, 9, scaling={"min": 0})

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 1024 * 1024

    answer = await client.post("/v1/completions", content=parts(), headers=headers_of(namespace))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert scale_ups(control_plane, namespace) == 0


async def test_nothing_of_a_request_is_logged(
    control_plane: ControlPlane, client: httpx.AsyncClient, front: Activator, namespace: str
) -> None:
    make_pool(control_plane, namespace, 9, replicas=0)
    canary = {**headers_of(namespace), "Authorization": "Bearer canary-key"}
    body = {"messages": [{"role": "user", "content": "canary-prompt"}]}
    await client.post("/v1/chat/completions?canary-query", json=body, headers=canary)
    assert "canary" not in front.words()

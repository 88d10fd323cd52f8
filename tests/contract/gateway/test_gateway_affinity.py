"""Prefix affinity behind a real Envoy: one conversation, one replica, unless it is too busy there.

What it is worth is measured where it shows: in the prompt caches of real llama-servers.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.plan.engines.llama_cpp import PROFILE
from paddock.plan.engines.profile import PooledModel
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from paddock.puller.store import Store
from paddock.wire import Json
from support.announce import Announce
from support.answering import Answering, answering
from support.engine_servers import serving
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA
from support.stores import add_tiny_model, pool_of, renamed

pytestmark = pytest.mark.contract
AFFINE: Json = {"balancing": "PrefixAffinity"}
CHAT = "/v1/chat/completions"
SYSTEM = {"role": "system", "content": 'Speak of "messages": [{ and no more.'}


def user(content: Json) -> dict[str, Json]:
    return {"role": "user", "content": content}


def said(content: str) -> dict[str, Json]:
    return {"content": content, "role": "assistant"}


def pool(name: str, **own: Json) -> InferencePool:
    return renamed(pool_of(EngineName.LLAMA_CPP, "alpha", gateway=own), name)


@contextmanager
def front(folder: Path, pools: Sequence[InferencePool], **backends: str) -> Iterator[Gateway]:
    folder.mkdir(exist_ok=True)
    place = free_place(folder)
    rendering = render("team", pools, {"alpha": ALPHA}, Surroundings(place=place))
    named = {f"{name}.team": addresses for name, addresses in backends.items()}
    with gateway(rendering, place, folder, named) as running:
        yield running


@contextmanager
def replicas(count: int, after: threading.Event | None = None) -> Iterator[list[Answering]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(answering(f"replica-{number}", after=after))
            for number in range(count)
        ]


def addresses(servers: Sequence[Answering]) -> str:
    return ",".join(each.address for each in servers)


def key_of(running: Gateway, server: Answering, path: str, **body: Json) -> str | None:
    answer = httpx.post(
        f"{running.url}{path}",
        json={"model": "alpha", **body},
        headers={names.CONVERSATION_HEADER: "mine"},
    )
    assert answer.status_code == 200
    return server.headers[-1].get(names.CONVERSATION_HEADER)


def test_conversation_is_told_by_the_first_message_of_its_user(tmp_path: Path) -> None:
    first = user('hi "there\\" ]} {[')
    with (
        replicas(1) as (server,),
        front(tmp_path, [pool("a", **AFFINE)], a=server.address) as running,
    ):

        def key(*messages: dict[str, Json]) -> str | None:
            return key_of(running, server, CHAT, messages=list(messages))

        same = {
            key(first),
            key(first, said("yes"), user("and then?")),
            key(SYSTEM, first, said("no")),
            key_of(running, server, "/v1/responses", input=[SYSTEM, first]),
            key_of(running, server, CHAT, tools=[{"a": "b"}], messages=[first]),
        }
        others = [
            key(user("hi there")),
            key(user([{"type": "text", "text": "hi"}]), said("yes")),
            key(SYSTEM),
            key_of(running, server, "/v1/completions", prompt="x" * 300),
            key_of(running, server, "/v1/embeddings", input=["one", "two"]),
        ]
        long = key_of(running, server, "/v1/completions", prompt="x" * 400)
        none = key_of(running, server, "/v1/completions")

    assert len(same) == 1
    assert None not in {*same, *others}
    assert len({*same, *others}) == 6
    assert (long, none) == (others[3], None)


def test_conversations_stay_on_their_replicas_which_share_them(tmp_path: Path) -> None:
    seen: dict[int, set[str]] = defaultdict(set)
    with (
        replicas(4) as servers,
        front(tmp_path, [pool("a", **AFFINE)], a=addresses(servers)) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        for turns in range(4):
            for number in range(40):
                messages = [SYSTEM, user(f"story {number}"), *[said("on"), user("more")] * turns]
                body = {"model": "alpha", "messages": messages}
                seen[number].add(client.post(CHAT, json=body).json()["by"])

    assert {len(each) for each in seen.values()} == {1}
    shares = Counter(name for (name,) in seen.values())
    assert len(shares) == 4
    assert max(shares.values()) <= 20


def test_conversation_that_everybody_has_fills_no_replica_beyond_its_share(tmp_path: Path) -> None:
    released, count = threading.Event(), 40
    body = {"model": "alpha", "messages": [user("hello")]}
    with (
        replicas(4, released) as servers,
        front(tmp_path, [pool("a", **AFFINE)], a=addresses(servers)) as running,
        ThreadPoolExecutor(count) as callers,
    ):
        answers = []
        for number in range(1, count + 1):
            answers.append(
                callers.submit(httpx.post, f"{running.url}{CHAT}", json=body, timeout=60)
            )
            until(lambda number=number: sum(each.asked for each in servers) == number)
        held = sorted(each.asked for each in servers)
        released.set()
        assert {each.result().status_code for each in answers} == {200}

    assert held[-1] <= 14  # 125 % of 10, rounded up, and one
    assert held[1] > 0


def test_conversation_stays_in_its_pool_where_two_share_the_model(tmp_path: Path) -> None:
    seen: dict[int, set[str]] = defaultdict(set)
    pools = [pool("a", **AFFINE, weight=50), pool("b", **AFFINE, weight=50)]
    with (
        replicas(2) as (first, second),
        front(tmp_path, pools, a=first.address, b=second.address) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        for _ in range(3):
            for number in range(40):
                body = {"model": "alpha", "messages": [user(f"story {number}")]}
                seen[number].add(client.post(CHAT, json=body).json()["by"])

    assert {len(each) for each in seen.values()} == {1}
    assert 8 <= Counter(name for (name,) in seen.values())["replica-0"] <= 32


def test_balancing_changes_while_requests_run_and_none_fails(tmp_path: Path) -> None:
    stop, answers = threading.Event(), list[int]()
    with replicas(2) as servers, front(tmp_path, [pool("a")], a=addresses(servers)) as running:

        def load() -> None:
            body = {"model": "alpha", "messages": [user("hello")]}
            with httpx.Client(base_url=running.url) as client:
                while not stop.is_set():
                    answers.append(client.post(CHAT, json=body).status_code)

        callers = [threading.Thread(target=load) for _ in range(3)]
        for caller in callers:
            caller.start()
        for own in (AFFINE, {}, AFFINE):
            assert isinstance(own, dict)
            running.take(rendered(running, pool("a", **own)))
        stop.set()
        for caller in callers:
            caller.join()

    assert len(answers) > 50
    assert set(answers) == {200}


def rendered(running: Gateway, *pools: InferencePool) -> Rendering:
    return render("team", pools, {"alpha": ALPHA}, Surroundings(place=running.place))


@dataclass(frozen=True)
class Reuse:
    """How many tokens of prompts the engines had in their caches, of how many."""

    cached: int
    prompt: int


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[str]:
    """Run two llama-servers over one store; give their addresses."""
    tmp_path.chmod(0o755)
    (tmp_path / "store").mkdir()
    made = add_tiny_model(Store(tmp_path / "store"), "alpha", seed=1)
    model = PooledModel("alpha", made, names.STORE_PATH, preload=True, context_length=None)
    run = PROFILE.run(pool_of(EngineName.LLAMA_CPP, "alpha", serving={"parallel": 8}), (model,))
    mounts = {names.STORE_PATH: tmp_path / "store"}
    with (
        serving(PROFILE, run, tmp_path / "first", mounts) as first,
        serving(PROFILE, run, tmp_path / "second", mounts) as second,
    ):
        yield ",".join(each.url.removeprefix("http://") for each in (first, second))


def talked(running: Gateway, salt: str) -> Reuse:
    """Hold eight conversations of five turns, each of which takes its turn."""
    talks: dict[int, list[dict[str, Json]]] = {
        number: [user(f"{salt} {number}: {'tell me more ' * 6}")] for number in range(8)
    }
    cached = prompt = 0
    with httpx.Client(base_url=running.url, timeout=60) as client:
        for number in [*range(8)] * 5:
            body = {"model": "alpha", "max_tokens": 8, "messages": talks[number]}
            answer: dict[str, Any] = client.post(CHAT, json=body).raise_for_status().json()
            talks[number] += [
                said(answer["choices"][0]["message"]["content"]), user("go on, please " * 3),
            ]  # fmt: skip
            cached += answer["timings"]["cache_n"]
            prompt += answer["timings"]["cache_n"] + answer["timings"]["prompt_n"]
    return Reuse(cached, prompt)


def test_engines_find_more_of_their_prompts_in_their_caches(
    engines: str, tmp_path: Path, announce: Announce
) -> None:
    with front(tmp_path / "least", [pool("a")], a=engines) as running:
        least = talked(running, "least")
    with front(tmp_path / "affine", [pool("a", **AFFINE)], a=engines) as running:
        affine = talked(running, "affine")
    shares = [100 * each.cached / each.prompt for each in (least, affine)]
    told = f"LeastRequest {shares[0]:.0f} %, PrefixAffinity {shares[1]:.0f} %"
    announce(f"tokens of prompts found in caches, two llama-servers: {told}")

    assert shares[1] > shares[0] + 10


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)

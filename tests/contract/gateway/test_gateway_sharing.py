"""One model in several pools behind a real Envoy: shares, fall-back, from zero, live changes."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.facts import Children
from paddock.plan.gateway.bootstrap import Place
from paddock.plan.gateway.plan import pools_still_woken
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from paddock.plan.gateway.xds import text as as_text
from paddock.wire import Json
from support.answering import Answering, answering
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, envoy_pod, gateway_facts
from support.ports import free_port
from support.stores import pool_of, renamed

pytestmark = pytest.mark.contract
MODELS = {"alpha": ALPHA}
ACTIVATOR = "paddock-activator.paddock-system"
_SECONDS, _POLL = 60.0, 0.02


def pool(name: str, **spec: Json) -> InferencePool:
    return renamed(pool_of(EngineName.LLAMA_CPP, "alpha", **spec), name)


def rendered(place: Place, *pools: InferencePool, still_woken: Collection[str] = ()) -> Rendering:
    around = Surroundings(place=place)
    return render("team", pools, MODELS, around, still_woken=still_woken)


def wanted_now(running: Gateway, *pools: InferencePool) -> Rendering:
    """Return what is to be written next, by what is written and what the Envoy says."""
    facts = replace(
        gateway_facts(*pools, models=(ALPHA,)),
        children=Children({("ConfigMap", names.GATEWAY): running.written}),
        pods=(envoy_pod(),),
        reports={envoy_pod().uid: running.report()},
    )
    return rendered(running.place, *pools, still_woken=pools_still_woken(facts))


@contextmanager
def front(folder: Path, *pools: InferencePool, **backends: str) -> Iterator[Gateway]:
    place = free_place(folder)
    named = {f"{name}.team": address for name, address in backends.items() if name != "activator"}
    if "activator" in backends:
        named[ACTIVATOR] = backends["activator"]
    with gateway(rendered(place, *pools), place, folder, named) as running:
        yield running


def with_one_ready(pool: InferencePool) -> InferencePool:
    return pool.model_copy(
        update={"status": pool.status.model_copy(update={"replicas": 1, "ready_replicas": 1})}
    )


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not met():
        assert time.monotonic() < deadline
        time.sleep(_POLL)


def ask(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/completions", json={"model": "alpha", "prompt": "hi"})


def shares(running: Gateway, count: int) -> Counter[str]:
    with httpx.Client(base_url=running.url) as client:
        return Counter(ask(client).json()["by"] for _ in range(count))


@pytest.fixture
def two() -> Iterator[tuple[Answering, Answering]]:
    with answering("a") as first, answering("b") as second:
        yield first, second


def nobody() -> str:
    return f"127.0.0.1:{free_port()}"


def test_pools_of_one_priority_share_by_their_weights(
    two: tuple[Answering, Answering], tmp_path: Path
) -> None:
    canary = pool("b", gateway={"weight": 10})
    addresses = {"a": two[0].address, "b": two[1].address}
    with front(tmp_path, pool("a", gateway={"weight": 90}), canary, **addresses) as running:
        found = shares(running, 600)

    assert 25 <= found["b"] <= 110
    assert found.total() == 600


def test_pool_without_a_pod_that_is_well_is_stood_in_for(
    two: tuple[Answering, Answering], tmp_path: Path
) -> None:
    later = pool("b", gateway={"priority": 1})
    with front(tmp_path, pool("a"), later, a=two[0].address, b=two[1].address) as running:
        assert shares(running, 20) == {"a": 20}
    (second := tmp_path / "second").mkdir()
    with (
        front(second, pool("a"), later, a=nobody(), b=two[1].address) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        answers = [ask(client) for _ in range(20)]

    assert answers[-1].json() == {"by": "b"}
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert sum(answer.status_code == 503 for answer in answers) <= 2


def test_pool_at_zero_is_asked_for_at_the_activator_by_its_name(
    two: tuple[Answering, Answering], tmp_path: Path
) -> None:
    asleep = pool("a", scaling={"min": 0, "max": 2})
    with front(tmp_path, asleep, activator=two[1].address) as running:
        assert shares(running, 3) == {"b": 3}

    assert [sent["x-paddock-pool"] for sent in two[1].headers] == ["team/a"] * 3


def test_pool_that_gives_zero_up_is_stood_in_for_until_its_pods_are_found(
    two: tuple[Answering, Answering], tmp_path: Path
) -> None:
    asleep, awake = pool("a", scaling={"min": 0}), with_one_ready(pool("a", replicas=1))
    with front(tmp_path, asleep, activator=two[1].address) as running:
        running.take(wanted_now(running, awake))
        assert shares(running, 3) == {"b": 3}
        two[1].open.clear()
        with ThreadPoolExecutor(1) as callers, httpx.Client(base_url=running.url) as client:
            held = callers.submit(ask, client)
            until(lambda: two[1].asked == 4)
            running.backends = {**running.backends, "a.team": two[0].address}
            running.write(wanted_now(running, awake))
            until(lambda: "pool/a" in running.report().reached)
            running.take(wanted_now(running, awake))
            assert shares(running, 3) == {"a": 3}
            two[1].open.set()
            assert held.result().json() == {"by": "b"}
        assert ACTIVATOR not in as_text(wanted_now(running, awake).clusters)


def test_callers_cannot_name_the_pool_themselves(
    two: tuple[Answering, Answering], tmp_path: Path
) -> None:
    with front(tmp_path, pool("a"), a=two[0].address) as running:
        httpx.post(
            f"{running.url}/v1/completions",
            json={"model": "alpha", "prompt": "hi"},
            headers={"x-paddock-pool": "other/pool"},
        )

    assert "x-paddock-pool" not in two[0].headers[0]


def test_shares_change_while_requests_run_and_none_fails(
    two: tuple[Answering, Answering], tmp_path: Path
) -> None:
    stop, answers = threading.Event(), list[int]()
    addresses = {"a": two[0].address, "b": two[1].address}
    with front(tmp_path, pool("a"), **addresses) as running:

        def load() -> None:
            with httpx.Client(base_url=running.url) as client:
                while not stop.is_set():
                    answers.append(ask(client).status_code)

        callers = [threading.Thread(target=load) for _ in range(3)]
        for caller in callers:
            caller.start()
        for turn in range(2):
            running.take(
                rendered(running.place, pool("a"), pool("b", gateway={"weight": 20 + turn}))
            )
            running.take(rendered(running.place, pool("a", gateway={"weight": 0}), pool("b")))
            running.take(rendered(running.place, pool("a")))
        stop.set()
        for caller in callers:
            caller.join()

    assert two[1].asked > 0
    assert len(answers) > 50
    assert set(answers) == {200}

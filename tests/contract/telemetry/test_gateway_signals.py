"""What a real Envoy tells, through a real Collector, of requests to a real llama-server and Ollama.

Tokens are compared with what the clients themselves were told.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from paddock import kinds, names
from paddock.api.inferencepool import EngineName
from paddock.api.reasons import ConditionType, Reason
from paddock.facts import Children, DeliveryFact, PoolFacts
from paddock.kube.cache import Cache
from paddock.observe.delivery import Deliveries
from paddock.observe.pool import collectors_of
from paddock.plan.engines.registry import PROFILES
from paddock.plan.gateway.collector import build_gateway_collector
from paddock.plan.gateway.rendering import Surroundings, render
from paddock.plan.replica import pooled_models
from paddock.plan.telemetry.request_metrics import LABELS, REQUEST_METRICS
from paddock.raw import at
from paddock.routes import index_of
from paddock.settings import Settings
from paddock.status.conditions import Verdict
from paddock.status.telemetry import telemetry_verdicts
from paddock.wire import Manifest
from support.collector import DEADLINE, attributes_of
from support.engine_servers import serving
from support.envoys import Gateway, free_place, gateway
from support.pools import NOW
from support.signals import COLLECTOR, Signals, collecting_requests, measured, often
from support.stores import alpha_and_beta, pool_of, renamed

pytestmark = pytest.mark.contract
CPP = measured(renamed(pool_of(EngineName.LLAMA_CPP, "alpha"), "cpp"))
OLLAMA = measured(renamed(pool_of(EngineName.OLLAMA, "beta"), "oll"))
CANARY = "canary-7f3e"
TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {
    "Authorization": f"Bearer {CANARY}",
    "X-Api-Key": CANARY,
    "User-Agent": CANARY,
    "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
}
TALK: list[Any] = [{"role": "user", "content": f"{CANARY} say something"}]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `counted` are the tokens that its answer told the client of."""

    path: str
    body: dict[str, Any]


SHORT: dict[str, Any] = {"messages": TALK, "max_tokens": 6}
LINES: dict[str, Any] = {"messages": TALK, "options": {"num_predict": 6}}
WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
ASKED = (
    Asked("/v1/chat/completions", {"model": "alpha", **SHORT}),
    Asked("/v1/chat/completions", {"model": "alpha", **SHORT, **WITH_USAGE}),
    Asked("/v1/chat/completions", {"model": "alpha", **SHORT, "stream": True}),
    Asked("/v1/completions", {"model": "alpha", "prompt": CANARY, "max_tokens": 5}),
    Asked("/v1/chat/completions", {"model": "beta", **SHORT}),
    Asked("/v1/chat/completions", {"model": "beta", **SHORT, **WITH_USAGE}),
    Asked("/api/chat", {"model": "beta", **LINES}),
    Asked("/api/chat", {"model": "beta", **LINES, "stream": False}),
    Asked("/api/generate", {"model": "beta", "prompt": CANARY, "options": {"num_predict": 6}}),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """The gateway, its signals, and what the clients were told."""

    gateway: Gateway
    signals: Signals
    answers: list[tuple[Asked, int, int]]
    """Each request with the input and output tokens of its answer."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Ask everything once, and wait until the numbers have arrived."""
    folder = tmp_path_factory.mktemp("signals")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    models = alpha_and_beta(folder)
    place = free_place(folder)
    rendering = render("team", [CPP, OLLAMA], models, Surroundings(place=place))
    mounts = {names.STORE_PATH: folder / "store"}
    runs = [(PROFILES[pool.spec.engine.name], pooled_models(pool, models), pool)
            for pool in (CPP, OLLAMA)]  # fmt: skip
    (cpp_run, ollama_run) = ((profile, profile.run(pool, served)) for profile, served, pool in runs)
    with (
        serving(*cpp_run, folder / "cpp", mounts) as cpp,
        serving(*ollama_run, folder / "oll", mounts) as ollama,
        collecting_requests(folder / "collector", [CPP, OLLAMA]) as signals,
    ):
        backends = {
            "cpp.team": cpp.url.removeprefix("http://"),
            "oll.team": ollama.url.removeprefix("http://"),
            COLLECTOR: signals.address,
        }
        with gateway(often(rendering), place, folder, backends) as running:
            answers = [(asked, *ask(running, asked)) for asked in ASKED]
            unknown = {"model": CANARY, **SHORT}
            assert post(running, "/v1/chat/completions", unknown).status_code == 404
            signals.until(
                "every request is counted",
                lambda: signals.sums("paddock.gateway.requests").total() == len(ASKED),
            )
            signals.until("every record", lambda: len(signals.records()) == len(ASKED))
            signals.until("every span", lambda: len(signals.received.spans()) == len(ASKED))
            yield Seen(running, signals, answers)


def post(running: Gateway, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{running.url}{path}?key={CANARY}", json=body, headers=HEADERS, timeout=60)


def ask(running: Gateway, asked: Asked) -> tuple[int, int]:
    answer = post(running, asked.path, asked.body)
    assert answer.status_code == 200, answer.text
    return used(answer.text)


def used(text: str) -> tuple[int, int]:
    """Read the tokens of an answer as a client does: whole JSON values, the last that has them."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.strip()]
    for value in (json.loads(line) for line in reversed(lines) if line != "[DONE]"):
        if usage := value.get("usage"):
            return usage["prompt_tokens"], usage["completion_tokens"]
        if "eval_count" in value:
            return value["prompt_eval_count"], value["eval_count"]
        if timings := value.get("timings"):
            return timings["prompt_n"] + timings["cache_n"], timings["predicted_n"]
    raise AssertionError(f"no tokens in {text}")


def expected(kind: str) -> Counter[tuple[str, ...]]:
    """Return what is counted for the requests, by model, pool, engine, route and type of token."""
    return Counter((*place(asked), kind) for asked in ASKED)


def place(asked: Asked) -> tuple[str, str, str, str]:
    cpp = asked.body["model"] == "alpha"
    return (asked.body["model"], *(("cpp", "LlamaCpp") if cpp else ("oll", "Ollama")), asked.path)


PLACE = ("gen_ai.request.model", "paddock.pool", "paddock.engine", "http.route")


def test_requests_are_counted_by_model_pool_engine_and_route(seen: Seen) -> None:
    wanted = Counter(place(asked) for asked in ASKED)

    assert seen.signals.sums("paddock.gateway.requests", *PLACE) == wanted
    assert seen.signals.sums("gen_ai.server.request.duration", *PLACE) == wanted


def test_tokens_are_those_that_the_clients_were_told(seen: Seen) -> None:
    wanted: Counter[tuple[str, ...]] = Counter()
    for asked, input_tokens, output_tokens in seen.answers:
        wanted[*place(asked), "input"] += input_tokens
        wanted[*place(asked), "output"] += output_tokens

    told = seen.signals.sums("paddock.gateway.tokens", *PLACE, "gen_ai.token.type")
    assert told == wanted
    usage = seen.signals.sums("gen_ai.client.token.usage", *PLACE, "gen_ai.token.type")
    assert usage == expected("input") + expected("output")


def test_streams_have_a_time_to_their_first_token_and_per_token(seen: Seen) -> None:
    streams = Counter(
        place(asked) for asked in ASKED
        if asked.body.get("stream", asked.path.startswith("/api/"))
    )  # fmt: skip
    assert streams.total() > 4

    assert seen.signals.sums("gen_ai.server.time_to_first_token", *PLACE) == streams
    assert seen.signals.sums("gen_ai.server.time_per_output_token", *PLACE) == streams


def test_records_and_spans_say_the_same_and_are_of_the_callers_trace(seen: Seen) -> None:
    wanted = Counter((*place(asked), str(read), str(made)) for asked, read, made in seen.answers)
    tokens = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    spans = seen.signals.received.spans()
    records = seen.signals.records()

    assert Counter(tuple(each[key] for key in (*PLACE, *tokens)) for each in records) == wanted
    told = map(attributes_of, spans)
    assert Counter(tuple(each[key] for key in (*PLACE, *tokens)) for each in told) == wanted
    assert {each["trace"] for each in records} == {TRACE} == {span["traceId"] for span in spans}
    assert {span["name"] for span in spans} == {
        "chat alpha", "text_completion alpha", "chat beta", "text_completion beta",
    }  # fmt: skip


def test_every_metric_of_the_table_arrives_in_its_unit_and_no_other(seen: Seen) -> None:
    arrived = {name: metric["unit"] for name, metric in seen.signals.received.metrics().items()}

    for each in REQUEST_METRICS:
        allowed = {*LABELS, *each.label.split(", ")}
        for labels in seen.signals.labels(each.name):
            assert {"paddock.namespace": "team"}.items() <= dict(labels).items()
            assert set(dict(labels)) <= allowed
    wanted = {each.name: each.unit for each in REQUEST_METRICS}
    arrived.pop("paddock.gateway.telemetry.dropped", None)
    assert arrived == {**wanted, "paddock.gateway.uptime": "s"}


def test_no_word_of_a_caller_is_in_what_was_told_or_logged(seen: Seen) -> None:
    assert len(seen.signals.received.text) > 10_000
    assert CANARY not in seen.signals.received.text
    assert CANARY not in seen.gateway.log.read_text()
    assert CANARY not in seen.signals.log.read_text()


async def test_ollama_pool_learns_from_the_gateways_collector_that_data_arrives(
    seen: Seen,
) -> None:
    """Ollama has no metrics of its own: its pool has no Collector but the gateway's."""
    pods, memory = collectors_of(OLLAMA, [], with_collector_pod()), Deliveries()

    async def here(request: httpx.Request) -> None:
        assert request.url.port == names.COLLECTOR_PORT
        request.url = request.url.copy_with(port=seen.signals.own_port)

    async with httpx.AsyncClient(event_hooks={"request": [here]}) as client:
        found = await memory.of(client, pods, 0)
        assert found == DeliveryFact(grew=False, quiet_seconds=0)
        deadline = time.monotonic() + DEADLINE
        while not (found and found.grew):
            assert time.monotonic() < deadline, "never: the Collector delivers more"
            found = await memory.of(client, pods, time.monotonic())
    facts = PoolFacts(pool=OLLAMA, now=NOW, collectors=pods, delivery=found)

    (verdict,) = telemetry_verdicts(facts, replicas=1)
    assert verdict == Verdict(
        ConditionType.TELEMETRY_READY, "True", Reason.DATA_ARRIVES,
        "Metrics arrive at http://receiver:4318.",
    )  # fmt: skip


def with_collector_pod() -> Cache:
    """Return what is known of a cluster: one pod of the Deployment that a gateway has."""
    made = build_gateway_collector("team", [OLLAMA], Children(), Settings())
    (deployment,) = [each for each in made if each["kind"] == "Deployment"]
    template: Any = at(deployment, "spec", "template", "metadata")
    cache = Cache([kinds.PODS], index_of)
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "collector-1", "namespace": "team", "uid": "uid-c", "resourceVersion": "1",
            "labels": template["labels"],
        },
        "status": {
            "phase": "Running", "podIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }  # fmt: skip
    cache.put(kinds.PODS, pod)
    return cache

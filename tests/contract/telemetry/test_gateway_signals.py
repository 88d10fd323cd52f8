"""What a real Envoy tells, through a real Collector, of requests to a real llama-server and Ollama.

Tokens are compared with what the clients themselves were told.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from paddock import kinds, names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
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
from support.mixed_requests import tokens_of, values_of
from support.pools import NOW
from support.signals import COLLECTOR, Signals, collecting_requests, measured, often
from support.stores import alpha_and_beta, pool_of, renamed

pytestmark = pytest.mark.contract
CPP = measured(renamed(pool_of(EngineName.LLAMA_CPP, "alpha"), "cpp"))
OLLAMA = measured(renamed(pool_of(EngineName.OLLAMA, "beta"), "oll"))
RECORDED = [measured(CPP, captures=True), measured(OLLAMA, captures=True)]
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


@dataclass(frozen=True, slots=True)
class Engines:
    """What serves: the models, and where each pool's engine answers."""

    folder: Path
    models: dict[str, LocalModel]
    backends: dict[str, str]

    @contextmanager
    def measured(self, name: str, pools: list[InferencePool]) -> Iterator[tuple[Gateway, Signals]]:
        """Run a gateway of these pools and its Collector."""
        folder = self.folder / name
        folder.mkdir()
        place = free_place(folder)
        rendering = often(render("team", pools, self.models, Surroundings(place=place)))
        with collecting_requests(folder / "collector", pools) as signals:
            backends = {**self.backends, COLLECTOR: signals.address}
            with gateway(rendering, place, folder, backends) as running:
                yield running, signals


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    folder = tmp_path_factory.mktemp("signals")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    models = alpha_and_beta(folder)
    mounts = {names.STORE_PATH: folder / "store"}
    runs = [(PROFILES[pool.spec.engine.name], pooled_models(pool, models), pool)
            for pool in (CPP, OLLAMA)]  # fmt: skip
    (cpp_run, ollama_run) = ((profile, profile.run(pool, served)) for profile, served, pool in runs)
    with (
        serving(*cpp_run, folder / "cpp", mounts) as cpp,
        serving(*ollama_run, folder / "oll", mounts) as ollama,
    ):
        backends = {
            "cpp.team": cpp.url.removeprefix("http://"),
            "oll.team": ollama.url.removeprefix("http://"),
        }
        yield Engines(folder, models, backends)


@pytest.fixture(scope="module")
def seen(engines: Engines) -> Iterator[Seen]:
    """Ask everything once, and wait until the numbers have arrived."""
    with engines.measured("numbers", [CPP, OLLAMA]) as (running, signals):
        answers = [(asked, *ask(running, asked)) for asked in ASKED]
        unknown = {"model": CANARY, **SHORT}
        assert post(running, "/v1/chat/completions", unknown).status_code == 404
        signals.until(
            "every request is counted",
            lambda: signals.sums("paddock.gateway.requests").total() == len(ASKED) + 1,
        )
        signals.until("every record", lambda: len(signals.records()) == len(ASKED) + 1)
        signals.until("every span", lambda: len(signals.received.spans()) == len(ASKED))
        yield Seen(running, signals, answers)


def post(running: Gateway, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{running.url}{path}?key={CANARY}", json=body, headers=HEADERS, timeout=60)


def ask(running: Gateway, asked: Asked) -> tuple[int, int]:
    answer = post(running, asked.path, asked.body)
    assert answer.status_code == 200, answer.text
    return used(answer.text)


def used(text: str) -> tuple[int, int]:
    """Read the tokens of an answer as a client does."""
    taken, given = tokens_of(values_of(text))
    assert taken is not None, f"no tokens in {text}"
    assert given is not None, f"no tokens in {text}"
    return taken, given


def expected(kind: str) -> Counter[tuple[str, ...]]:
    """Return what is counted for the requests, by model, pool, engine, route and type of token."""
    return Counter((*place(asked), kind) for asked in ASKED)


def place(asked: Asked) -> tuple[str, str, str, str]:
    cpp = asked.body["model"] == "alpha"
    return (asked.body["model"], *(("cpp", "LlamaCpp") if cpp else ("oll", "Ollama")), asked.path)


PLACE = ("gen_ai.request.model", "paddock.pool", "paddock.engine", "http.route")
OF_NO_POOL = ("", "", "", "/v1/chat/completions")


def test_requests_are_counted_by_model_pool_engine_and_route(seen: Seen) -> None:
    wanted = Counter([*map(place, ASKED), OF_NO_POOL])

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
    records = [each for each in seen.signals.records() if "paddock.pool" in each]

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


def test_prompts_and_answers_are_in_the_record_of_who_asks_and_nowhere_else(
    engines: Engines,
) -> None:
    with engines.measured("content", RECORDED) as (running, signals):
        wanted = [talk(asked, post(running, asked.path, asked.body).text) for asked in ASKED]
        long = {"model": "alpha", "prompt": CANARY + "x" * 100_000}
        assert post(running, "/v1/completions", long).status_code == 400
        count = len(ASKED) + 1
        signals.until("every record", lambda: len(list(signals.log_records())) == count)
        signals.until("every span", lambda: len(signals.received.spans()) == count)
        records = list(signals.log_records())
        quiet = [body for body in signals.received.bodies if "resourceLogs" not in body]
        logs = running.log.read_text() + signals.log.read_text()

    (cut,) = [each for each in records if CUT in each["attributes"]]
    assert Counter(content_of(each) for each in records if each is not cut) == Counter(wanted)
    assert {each["eventName"] for each in records} == {DETAILS}
    prompt, answer = content_of(cut)
    assert (prompt[: len(CANARY)], answer) == (CANARY, "")
    assert 16_000 < len(prompt) < 17_000
    assert not [body for body in quiet if CANARY in body]
    assert CANARY not in logs
    rest = json.dumps([without_content(each) for each in records])
    assert CANARY not in rest


DETAILS = "gen_ai.client.inference.operation.details"
CUT = {"key": "paddock.content.truncated", "value": {"boolValue": True}}
INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"


def without_content(record: Any) -> Any:
    kept = [each for each in record["attributes"] if each["key"] not in (INPUT, OUTPUT)]
    return {**record, "attributes": kept}


def content_of(record: Any) -> tuple[str, str]:
    """Return the words of a record's prompt and of its answer."""
    values = {each["key"]: plain(each["value"]) for each in record["attributes"]}
    prompt, answer = (
        "".join(part["content"] for message in values.get(key, []) for part in message["parts"])
        for key in (INPUT, OUTPUT)
    )
    assert all(message["role"] == "user" for message in values[INPUT])
    for message in values.get(OUTPUT, []):
        assert message["role"] == "assistant"
        assert message["finish_reason"] in {"length", "stop"}
    return prompt, answer


def plain(value: Any) -> Any:
    """Return what a value of OTLP's JSON stands for."""
    if "arrayValue" in value:
        return [plain(each) for each in value["arrayValue"].get("values", [])]
    if "kvlistValue" in value:
        return {each["key"]: plain(each["value"]) for each in value["kvlistValue"]["values"]}
    return next(iter(value.values()))


def talk(asked: Asked, text: str) -> tuple[str, str]:
    """Return the words of a request, and those of its answer as a client puts them together."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.strip()]
    values = [json.loads(line) for line in lines if line != "[DONE]"]
    prompt = asked.body.get("prompt") or TALK[0]["content"]
    return prompt, "".join(words for value in values for words in words_of(value))


def words_of(value: Any) -> Iterator[str]:
    for choice in value.get("choices", [value]):
        message = choice.get("message") or choice.get("delta") or {}
        yield message.get("content") or choice.get("text") or choice.get("response") or ""


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

"""Each panel of the fleet's dashboard beside what the callers of two pools wrote down.

Where a panel shows a rate, what it sums up is compared to the last request and token. A duration is
Envoy's own: it counts exactly, and lies within what callers waited.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx

from support.mixed_requests import BODY_BYTES, Entry
from support.observability import filled, queries_of, summed
from support.prometheus import Prometheus

WINDOW_SECONDS = 600
PANELS = queries_of("fleet")
POOLS = ("cpp", "oll")
ENGINE_OF = {"cpp": "LlamaCpp", "oll": "Ollama"}
_DEADLINE, _POLL = 90.0, 0.2
Numbers = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Story:
    """What was asked, where it is told, and where each pool's one engine is."""

    found: Prometheus
    namespace: str
    log: Sequence[Entry]
    models: Mapping[str, str]
    """The served name of each pool."""
    engines: Mapping[str, str]
    before: Mapping[str, float]
    """What llama.cpp said of itself before anybody asked."""

    def pool_of(self, entry: Entry) -> str:
        (pool,) = [pool for pool, model in self.models.items() if model == entry.model]
        return pool

    def of_pools(self) -> list[Entry]:
        """Return what a pool answered for: it, or its limit of requests."""
        return [entry for entry in self.log if entry.status in (200, 429)]

    def numbers(self, query: str, *labels: str) -> Numbers:
        answer = self.found.query(query)
        return {
            tuple(series["metric"].get(label, "") for label in labels): float(series["value"][1])
            for series in answer
        }

    def until(self, wanted: Numbers, query: str, *labels: str) -> None:
        """Wait until a query tells exactly these numbers."""
        asked = filled(summed(query), self.namespace)
        deadline = time.monotonic() + _DEADLINE
        while (told := self.numbers(asked, *labels)) != wanted and time.monotonic() < deadline:
            time.sleep(_POLL)
        assert told == wanted, asked


def said_by_llama_cpp(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics", timeout=30).text
    lines = (line.split() for line in text.splitlines() if line.startswith("llamacpp:"))
    return {name: float(value) for name, value in lines}


def check_log(log: Sequence[Entry], limited: str) -> None:
    """Have nothing failed but what was meant to, or what the limit of one model refused."""
    meant = {"nobody": 404, "/v1/rerank": 404}
    for entry in log:
        wanted = meant.get(entry.model) or meant.get(entry.asked.path)
        large = len(str(entry.asked.body)) > BODY_BYTES
        wanted = wanted or (413 if large else 200) if entry.asked.key else 401
        assert entry.status in ({wanted, 429} if entry.model == limited else {wanted}), entry
    assert {entry.status for entry in log} == {200, 401, 404, 413, 429}
    assert len(log) > 200


def _place(story: Story, entry: Entry) -> tuple[str, ...]:
    return (story.pool_of(entry),)


def requests(story: Story) -> None:
    (query,) = PANELS["Requests a second"]
    wanted = Counter(
        (story.pool_of(each), ENGINE_OF[story.pool_of(each)], each.model)
        for each in story.of_pools()
    )
    story.until(wanted, query, "paddock_pool", "paddock_engine", "gen_ai_request_model")
    as_shown = filled(query, story.namespace, f"{WINDOW_SECONDS}s")
    for key, rate in story.numbers(as_shown, "paddock_pool").items():
        most = sum(count for found, count in wanted.items() if found[0] == key[0])
        assert 0 < rate * WINDOW_SECONDS < most * 1.1


def statuses(story: Story) -> None:
    (query,) = PANELS["Requests a second by status"]
    wanted = Counter((str(entry.status),) for entry in story.log)
    story.until(wanted, query, "http_response_status_code")


def failing(story: Story) -> None:
    (query,) = PANELS["Part of the requests that fail"]
    every = Counter(_place(story, entry) for entry in story.of_pools())
    failed = Counter(_place(story, entry) for entry in story.of_pools() if entry.status != 200)
    wanted = {pool: failed[pool] / count for pool, count in every.items()}
    story.until(wanted, query, "paddock_pool")


def tokens(story: Story) -> None:
    (query,) = PANELS["Tokens a second"]
    wanted: Counter[tuple[str, ...]] = Counter()
    for entry in story.log:
        if entry.input_tokens is not None and entry.output_tokens is not None:
            wanted[*_place(story, entry), "input"] += entry.input_tokens
            wanted[*_place(story, entry), "output"] += entry.output_tokens
    story.until(wanted, query, "paddock_pool", "gen_ai_token_type")


def first_tokens(story: Story) -> None:
    (query,) = PANELS["Time to the first token, 95 of 100"]
    times(story, query, [(entry, entry.first) for entry in story.log if entry.streamed])


def durations(story: Story) -> None:
    (query,) = PANELS["Time of a request, 95 of 100"]
    times(story, query, [(entry, entry.seconds) for entry in story.of_pools()])


def times(story: Story, query: str, told: Sequence[tuple[Entry, float]]) -> None:
    """Count each, and have the sum and the shown part lie within what callers waited."""
    (metric,) = set(re.findall(r"\w+(?=_bucket)", query))
    (where,) = set(re.findall(r"_bucket(\{[^}]*\})", query))
    counted = Counter(_place(story, entry) for entry, _ in told)
    story.until(counted, f"sum by (paddock_pool) ({metric}_count{where})", "paddock_pool")
    waited: Counter[tuple[str, ...]] = Counter()
    longest: dict[tuple[str, ...], float] = {}
    for entry, seconds in told:
        waited[_place(story, entry)] += seconds  # type: ignore[assignment]  # seconds are counted, too
        longest[_place(story, entry)] = max(seconds, longest.get(_place(story, entry), 0))
    summed_up = filled(f"sum by (paddock_pool) ({metric}_sum{where})", story.namespace)
    for pool, seconds in story.numbers(summed_up, "paddock_pool").items():
        assert 0 < seconds < waited[pool] * 1.02
    bounds = story.numbers(filled(f"{metric}_bucket{where}", story.namespace), "le")
    shown = story.numbers(filled(summed(query), story.namespace), "paddock_pool")
    assert set(shown) == set(counted)
    for pool, seconds in shown.items():
        assert 0 < seconds <= min(float(le) for (le,) in bounds if float(le) >= longest[pool])


def loaded(story: Story) -> None:
    (query,) = PANELS["Models loaded"]
    ps = httpx.get(f"{story.engines['oll']}/api/ps", timeout=30).json()["models"]
    listed = httpx.get(f"{story.engines['cpp']}/v1/models", timeout=30).json()["data"]
    story.until({("cpp",): len(listed), ("oll",): len(ps)}, query, "pool")


def answering(story: Story) -> None:
    (query,) = PANELS["Engines that answer"]
    story.until({(pool, ENGINE_OF[pool]): 1 for pool in POOLS}, query, "pool", "engine")


def waiting(story: Story) -> None:
    """Nobody asks any more; what lasts less than a scrape's fifteen seconds is not in a gauge."""
    for query in PANELS["Requests running and waiting"]:
        story.until({("cpp",): 0}, query, "pool")


def memory(story: Story) -> None:
    (model,) = httpx.get(f"{story.engines['oll']}/api/ps", timeout=30).json()["models"]
    for query, key in zip(
        PANELS["Memory of loaded models (Ollama)"], ("size", "size_vram"), strict=True
    ):
        story.until({("oll",): model.get(key, 0)}, query, "pool")
    assert model["size"] > 0


def generated(story: Story) -> None:
    (query,) = PANELS["Tokens generated a second, as engines count (llama.cpp, vLLM)"]
    told = sum(
        entry.output_tokens or 0 for entry in story.log if entry.model == story.models["cpp"]
    )
    before = story.before["llamacpp:tokens_predicted_total"]
    story.until({("cpp",): before + told}, query, "pool")


def prompted(story: Story) -> None:
    (query,) = PANELS["Prompt tokens a second, as engines count (llama.cpp, vLLM)"]
    told = sum(entry.prompted for entry in story.log)
    before = story.before["llamacpp:prompt_tokens_total"]
    story.until({("cpp",): before + told}, query, "pool")


def pulls(story: Story) -> None:
    (query,) = PANELS["Pulls in flight"]
    story.until({(): 0}, query)


def scrapes(story: Story) -> None:
    (query,) = PANELS["Scrapes that failed"]
    story.until({("cpp",): 0}, query, "pool")


def unused(story: Story) -> None:
    """No GPU is here: the join with what exporters tell has a test of its own."""
    for title in (
        "Use of GPUs by model and pool (DCGM, AMD)",
        "Memory of GPUs in use by pool (DCGM, AMD)",
    ):
        (query,) = PANELS[title]
        story.until({}, query, "pool")


CHECKS: Mapping[str, Callable[[Story], None]] = {
    "Requests a second": requests,
    "Requests a second by status": statuses,
    "Part of the requests that fail": failing,
    "Tokens a second": tokens,
    "Time to the first token, 95 of 100": first_tokens,
    "Time of a request, 95 of 100": durations,
    "Models loaded": loaded,
    "Engines that answer": answering,
    "Requests running and waiting": waiting,
    "Memory of loaded models (Ollama)": memory,
    "Tokens generated a second, as engines count (llama.cpp, vLLM)": generated,
    "Prompt tokens a second, as engines count (llama.cpp, vLLM)": prompted,
    "Pulls in flight": pulls,
    "Scrapes that failed": scrapes,
    "Use of GPUs by model and pool (DCGM, AMD)": unused,
    "Memory of GPUs in use by pool (DCGM, AMD)": unused,
}

"""Every metric the operator has: name, unit, labels and what it says. Pure.

Labels are closed sets, or names of objects whose number of series has a limit: no label holds a
user's words. `operator/docs/telemetry.md` is held to this table by a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from paddock import kinds, names
from paddock.api.inferencepool import EngineName

OTHER = "other"
"""Stands for every value of a closed label that is not in its set."""


class MetricKind(StrEnum):
    """How a metric is read: a sum that only grows, a number as it is now, or a distribution."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; a label whose set is empty holds names of objects."""

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets."""
    limit: int = 1_000
    """The most series it may have; further ones are left out and counted as dropped."""


NAMES: frozenset[str] = frozenset()
"""A label that holds names of objects; what bounds it is the metric's limit."""
KINDS = frozenset({*(kind.plural for kind in kinds.OWN), names.GATEWAYS, names.WARNINGS})
OUTCOMES = frozenset({"Done", "Wait", "Blocked", "Conflict", "Failed", "Dropped"})
VERBS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
CODES = frozenset(
    str(code)
    for code in (0, 200, 201, 202, 400, 401, 403, 404, 405, 409, 410, 413, 422, 429,
                 500, 502, 503, 504)
)  # fmt: skip
"""0 means that no answer came."""
_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0)

QUEUE_DEPTH = Metric(
    "paddock.queue.depth", MetricKind.GAUGE, "{object}", "Objects whose pass is due now."
)
PASSES = Metric(
    "paddock.passes",
    MetricKind.COUNTER,
    "{pass}",
    "Passes ended.",
    {"kind": KINDS, "outcome": OUTCOMES},
)
PASS_DURATION = Metric(
    "paddock.pass.duration",
    MetricKind.HISTOGRAM,
    "s",
    "How long a pass took.",
    {"kind": KINDS},
    _SHORT,
)
API_REQUESTS = Metric(
    "paddock.api.requests",
    MetricKind.COUNTER,
    "{request}",
    "Requests answered by the apiserver; code 0 where no answer came.",
    {"verb": VERBS, "code": CODES},
)
API_RECEIVED = Metric(
    "paddock.api.received",
    MetricKind.COUNTER,
    "By",
    "Bytes of the apiserver's answers.",
)
WATCH_RESTARTS = Metric(
    "paddock.watch.restarts",
    MetricKind.COUNTER,
    "{restart}",
    "Times the watch layer ended and was started again.",
)
LEADER = Metric(
    "paddock.leader", MetricKind.GAUGE, "{lease}", "1 where this process holds the Lease, else 0."
)
CACHE_OBJECTS = Metric(
    "paddock.cache.objects", MetricKind.GAUGE, "{object}", "Objects known from watches and lists."
)
PULL_PROGRESS = Metric(
    "paddock.pull.progress",
    MetricKind.GAUGE,
    "By",
    "Bytes there so far of a pull in flight.",
    {"namespace": NAMES, "model": NAMES},
)
PULL_SIZE = Metric(
    "paddock.pull.size",
    MetricKind.GAUGE,
    "By",
    "Bytes a pull in flight has to bring, where that is known.",
    {"namespace": NAMES, "model": NAMES},
)
READY_DURATION = Metric(
    "paddock.ready.duration",
    MetricKind.HISTOGRAM,
    "s",
    "Time from an object's creation to its first Ready.",
    {"kind": KINDS},
    _LONG,
)
DROPPED = Metric(
    "paddock.telemetry.dropped",
    MetricKind.COUNTER,
    "{item}",
    "Spans, exports of metrics and series that were given up.",
    {"signal": frozenset({"spans", "metrics", "series"})},
)
ENGINES = frozenset(each.value for each in EngineName)
_ENGINE_LABELS = {
    "namespace": NAMES,
    "pool": NAMES,
    "model": NAMES,
    "engine": ENGINES,
    "pod": NAMES,
}
_MOST_MODELS = 10_000
ENGINE_LOADED = Metric(
    "paddock.engine.model.loaded",
    MetricKind.GAUGE,
    "{model}",
    "1 where the engine has the model loaded, else 0.",
    _ENGINE_LABELS,
    limit=_MOST_MODELS,
)
ENGINE_MEMORY = Metric(
    "paddock.engine.model.memory",
    MetricKind.GAUGE,
    "By",
    "Memory of a loaded model, GPU's and other; Ollama only.",
    _ENGINE_LABELS,
    limit=_MOST_MODELS,
)
ENGINE_GPU_MEMORY = Metric(
    "paddock.engine.model.gpu_memory",
    MetricKind.GAUGE,
    "By",
    "The part of it that is a GPU's; Ollama only.",
    _ENGINE_LABELS,
    limit=_MOST_MODELS,
)
ENGINE_LOAD = Metric(
    "paddock.engine.load.duration",
    MetricKind.HISTOGRAM,
    "s",
    "How long an engine took to load a model.",
    {"namespace": NAMES, "pool": NAMES, "model": NAMES, "engine": ENGINES},
    _LONG,
)
TOKEN_LIMIT = Metric(
    "paddock.gateway.token_limit",
    MetricKind.GAUGE,
    "{token}",
    "Tokens that each caller may use of a model in a minute, where there is a limit.",
    {"namespace": NAMES, "model": NAMES},
    limit=_MOST_MODELS,
)

OPERATOR = (
    QUEUE_DEPTH,
    PASSES,
    PASS_DURATION,
    API_REQUESTS,
    API_RECEIVED,
    WATCH_RESTARTS,
    LEADER,
    CACHE_OBJECTS,
    PULL_PROGRESS,
    PULL_SIZE,
    READY_DURATION,
    DROPPED,
    ENGINE_LOADED,
    ENGINE_MEMORY,
    ENGINE_GPU_MEMORY,
    ENGINE_LOAD,
    TOKEN_LIMIT,
)

"""One set of metrics of requests: our name and unit, and what Envoys call it. Pure.

Names are those of OpenTelemetry's conventions for generative AI where these have one. Counters are
exact, and whole sums since the Envoy started; a histogram's sum is Envoy's approximation.
"""

from dataclasses import dataclass

from paddock.plan.gateway.signals import ALIVE, CALLER, DROPPED, STATS

LABELS = (
    "gen_ai.request.model", "gen_ai.operation.name", "gen_ai.provider.name", "paddock.namespace",
    "paddock.pool", "paddock.engine", "http.route", "http.response.status_code", "error.type",
)  # fmt: skip
"""Of every metric of requests; the last only of those that failed."""


@dataclass(frozen=True, slots=True)
class RequestMetric:
    """One number of requests; `factor` brings Envoy's unit to ours."""

    name: str
    kind: str
    unit: str
    meaning: str
    source: str
    factor: float = 1
    label: str = ""
    """Labels of this one alone."""
    signal: str = ""


REQUEST_METRICS = (
    RequestMetric(
        "paddock.gateway.requests",
        "counter",
        "{request}",
        "Requests ended, failed ones too.",
        f"{STATS}.requests",
        label=CALLER,
    ),
    RequestMetric(
        "paddock.gateway.tokens",
        "counter",
        "{token}",
        "Tokens used, as the engine counted them.",
        f"{STATS}.tokens",
        label=f"gen_ai.token.type, {CALLER}",
    ),
    RequestMetric(
        "gen_ai.client.token.usage",
        "histogram",
        "{token}",
        "Tokens used by one request; counts those whose tokens are known.",
        f"{STATS}.tokens_used",
        label="gen_ai.token.type",
    ),
    RequestMetric(
        "gen_ai.server.request.duration",
        "histogram",
        "s",
        "Time from a request's first byte to its answer's last.",
        f"{STATS}.duration",
        0.001,
    ),
    RequestMetric(
        "gen_ai.server.time_to_first_token",
        "histogram",
        "s",
        "Time from a request's first byte to the first of a streamed answer.",
        f"{STATS}.first_byte",
        0.001,
    ),
    RequestMetric(
        "gen_ai.server.time_per_output_token",
        "histogram",
        "s",
        "Time per token of a streamed answer, after its first.",
        f"{STATS}.per_token",
        0.000001,
    ),
)
LOST = tuple(
    RequestMetric(
        "paddock.gateway.telemetry.dropped",
        "counter",
        "{item}",
        "Records and spans that Envoy gave up; sums lose nothing.",
        source,
        label="signal",
        signal=signal,
    )
    for source, signal in DROPPED.items()
)
UPTIME = RequestMetric("paddock.gateway.uptime", "gauge", "s", "Since the Envoy started.", ALIVE)

"""TelemetryReady: whether a pool's metrics arrive at the user's receiver. Pure.

Told by what the Collector's exporter got acknowledged, never by the Collector merely running.
Ready does not ask for it: a pool whose measurements are lost still serves.
"""

from paddock.api.inferencepool import InferencePool
from paddock.api.reasons import ConditionType, Reason
from paddock.facts import DeliveryFact, PoolFacts
from paddock.status.conditions import Verdict, false, true, unknown

QUIET_SECONDS = 75.0
"""Five scrapes without one point that arrived."""


def telemetry_verdicts(facts: PoolFacts, replicas: int) -> tuple[Verdict, ...]:
    """Return the verdict, where the pool asks for telemetry."""
    telemetry = facts.pool.spec.telemetry
    if telemetry is None:
        return ()
    kind = ConditionType.TELEMETRY_READY
    if replicas == 0:
        message = "The pool is scaled to zero: there is nothing to measure."
        return (true(kind, Reason.SCALED_TO_ZERO, message),)
    if not any(pod.ready and not pod.deleting for pod in facts.collectors):
        message = "The Collector's pod is not ready."
        return (false(kind, Reason.WAITING_FOR_PODS, message),)
    return (_arrival(facts.pool, facts.delivery, telemetry.otlp.endpoint),)


def _arrival(pool: InferencePool, delivery: DeliveryFact | None, endpoint: str) -> Verdict:
    kind = ConditionType.TELEMETRY_READY
    if delivery is not None and delivery.quiet_seconds > QUIET_SECONDS:
        message = (
            f"For a while nothing has arrived at {endpoint}: the receiver does not take the "
            "metrics, or no engine answers its scrape."
        )
        return false(kind, Reason.NOT_DELIVERED, message)
    if delivery is not None and delivery.grew:
        return true(kind, Reason.DATA_ARRIVES, f"Metrics arrive at {endpoint}.")
    return _as_before(pool) or unknown(kind, Reason.NOT_CHECKED, "The first metrics are awaited.")


def _as_before(pool: InferencePool) -> Verdict | None:
    """Return what was said of this very declaration: one look alone proves nothing new."""
    kind = ConditionType.TELEMETRY_READY
    for known in pool.status.conditions:
        told = known.type == kind and known.observed_generation == pool.metadata.generation
        if told and known.reason in (Reason.DATA_ARRIVES, Reason.NOT_DELIVERED):
            make = true if known.reason == Reason.DATA_ARRIVES else false
            return make(kind, Reason(known.reason), known.message)
    return None

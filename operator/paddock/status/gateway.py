"""What a namespace's gateway does for its pools, and each pool's GatewayReady. Pure.

While a change is on its way to the Envoys, pools that were served before stay so.
"""

from paddock import names
from paddock.api.base import Diagnosis
from paddock.api.inferencepool import InferencePool
from paddock.api.reasons import ConditionType, Reason
from paddock.facts import GatewayFacts, GatewayState, PoolFacts, Refusal, TlsState
from paddock.plan.gateway.certificate import secret_of
from paddock.plan.gateway.plan import GatewayPlan, ready_pods
from paddock.status.certificate import tls_of
from paddock.status.conditions import Verdict, false, true
from paddock.status.exposure import not_exported, not_exposed
from paddock.status.pod_diagnosis import diagnose_pod
from paddock.status.wording import shortened

_ON_THE_WAY = "The gateway does not serve the pool's models yet."
"""Said of every step before it does: each other sentence would be another write of each pool."""
_TLS_ON_THE_WAY = "The gateway does not serve TLS yet."


def state_of_gateway(
    facts: GatewayFacts,
    plan: GatewayPlan,
    refusals: tuple[Refusal, ...],
    before: GatewayState | None,
) -> GatewayState:
    """Return the gateway's state; `before` tells which routes were in force already."""
    known = before.routes if before else frozenset()
    taken = plan.routes if plan.in_force else plan.routes & known
    tls, closed = tls_of(facts), not_exposed(facts)
    bad = _trouble(facts, plan, refusals, tls)
    if bad is not None:
        return GatewayState(False, *bad, taken, tls, closed)  # noqa: FBT003 - the first field
    good = _good(facts.namespace)
    return GatewayState(True, Reason.READY, good, taken, tls, closed)  # noqa: FBT003 - same


def _good(namespace: str) -> str:
    return f"http://{names.gateway_host(namespace)} serves the pool's models."


def _trouble(
    facts: GatewayFacts, plan: GatewayPlan, refusals: tuple[Refusal, ...], tls: TlsState | None
) -> tuple[Reason, str] | None:
    if facts.refusal is not None:
        words = shortened(facts.refusal)
        return (
            Reason.GATEWAY_CONFIG_REFUSED,
            f"Envoy refuses the gateway's new configuration, so the last good one serves: {words}.",
        )
    for refusal in (*plan.conflicts, *refusals):
        return refusal.reason, f"{shortened(refusal.message)}."
    if ready_pods(facts):
        return None
    if tls is not None and tls.trouble is not None:
        return tls.trouble
    cause = _pod_cause(facts)
    if cause is not None:
        return Reason(cause.reason), f"{cause.object}: {cause.cause} {cause.fix}"
    return Reason.PROGRESSING, _ON_THE_WAY


def _pod_cause(facts: GatewayFacts) -> Diagnosis | None:
    pods = sorted((pod for pod in facts.pods if not pod.deleting), key=lambda pod: pod.name)
    return next((cause for pod in pods for cause in diagnose_pod(pod, facts.events)), None)


def gateway_verdict(facts: PoolFacts) -> Verdict:
    """Return the pool's GatewayReady; what was said holds until the gateway has been looked at."""
    kind, state = ConditionType.GATEWAY_READY, facts.gateway
    if state is None:
        return _said_before(facts.pool)
    pool = facts.pool
    closed = state.not_exposed.get(pool.metadata.uid) or not_exported(facts)
    if closed is not None:
        return false(kind, *closed)
    if not state.ready:
        return false(kind, state.reason, state.message)
    secured = _secured(pool, state.tls)
    if secured is not None and secured.status != "True":
        return secured
    wanted = {(pool.metadata.uid, each.served_as) for each in pool.spec.models}
    if not wanted <= state.routes:
        return false(kind, Reason.PROGRESSING, _ON_THE_WAY)
    return secured or true(kind, state.reason, state.message)


def _secured(pool: InferencePool, tls: TlsState | None) -> Verdict | None:
    """Return what is so of the certificate that the pool names; None where it names none."""
    kind, secret = ConditionType.GATEWAY_READY, secret_of(pool)
    if secret is None or tls is None:
        return None
    if secret != tls.secret:
        return false(
            kind,
            Reason.GATEWAY_CONFLICT,
            f"All pools of a namespace have one gateway, which serves the certificate of Secret "
            f"{tls.secret} for the older InferencePool {tls.pool}: name that Secret, or none.",
        )
    if tls.trouble is not None:
        return false(kind, *tls.trouble)
    if tls.until is None:
        return false(kind, Reason.PROGRESSING, _TLS_ON_THE_WAY)
    host, day = names.gateway_host(pool.metadata.namespace), tls.until.date().isoformat()
    return true(
        kind,
        Reason.READY,
        f"http://{host} and https://{host} serve the pool's models. The certificate is good until "
        f"{day}.",
    )


def _said_before(pool: InferencePool) -> Verdict:
    kind = ConditionType.GATEWAY_READY
    for said in pool.status.conditions:
        if said.type == kind:
            return Verdict(kind, said.status, Reason(said.reason), said.message)
    return false(kind, Reason.PROGRESSING, _ON_THE_WAY)

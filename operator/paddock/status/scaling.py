"""What the status says of a pool that scales by demand. Pure."""

from datetime import timedelta

from paddock.api.base import seconds_of
from paddock.api.inferencepool import ScalingStatus
from paddock.clock import rfc3339
from paddock.plan.demand import is_told_idle
from paddock.plan.pool import PoolPlan


def status_of_scaling(plan: PoolPlan) -> ScalingStatus | None:
    """Say how many replicas demand asks for and why, and when an idle pool goes to zero."""
    decision, idle = plan.decision, plan.scaling.idle if plan.scaling else None
    if decision is None:
        return None
    zero_after = seconds_of(idle.zero_after) if idle and idle.zero_after else None
    awake = decision.history if decision.replicas else None
    zero_at = None
    if zero_after and awake and is_told_idle(zero_after, decision.idle_seconds):
        zero_at = rfc3339(awake.busy_time + timedelta(seconds=zero_after))
    return ScalingStatus(desired=decision.replicas, why=decision.why, zero_at=zero_at)

"""What an InferencePool needs next: its children, or a sentence that says why not.

Pure: facts in, a PoolPlan out. While a model is missing or being pulled, the children that exist
are left as they are: what serves keeps serving.
"""

from dataclasses import dataclass, field, replace

from paddock import names
from paddock.api.inferencepool import Fit, PoolEffective, Scaling, needed_models
from paddock.api.localmodel import LocalModel
from paddock.api.reasons import ConditionType
from paddock.facts import Change, Done, Outcome, PodFact, PoolFacts, Refusal, Wait
from paddock.plan.changes import plan_changes
from paddock.plan.config_map import build_config_map
from paddock.plan.demand import Decision, Observed, bounds_of, decide, effective_scaling
from paddock.plan.deployment import Replica, build_deployment, restart_of, revision_of
from paddock.plan.disruption_budget import build_disruption_budget
from paddock.plan.drain import drain_image
from paddock.plan.engines.profile import PooledModel, Profile
from paddock.plan.engines.profile import Refusal as FieldRefusal
from paddock.plan.engines.registry import PROFILES
from paddock.plan.exported_pool import build_exported_pool, callers_of, extension_of
from paddock.plan.network_policy import build_network_policy
from paddock.plan.pool_refusals import refuse_pool
from paddock.plan.replica import build_replica, pooled_models
from paddock.plan.requests import asked, is_due
from paddock.plan.scaling import handed_over, plan_scale
from paddock.plan.service import build_service
from paddock.plan.telemetry.collector import build_collector
from paddock.settings import Settings
from paddock.wire import Manifest

PRUNED = frozenset(
    {"ConfigMap", "PodDisruptionBudget", "Deployment", "NetworkPolicy", "InferencePool"}
)
"""Kinds of which a pool sometimes has a child, or one more; the others it always has."""
_ENDED = frozenset({"Failed", "Succeeded"})


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """The decisions of one pass over an InferencePool."""

    wanted: tuple[Manifest, ...] = ()
    changes: tuple[Change, ...] = ()
    conflicts: tuple[Refusal, ...] = ()
    refused: tuple[FieldRefusal, ...] = ()
    missing: tuple[str, ...] = ()
    """LocalModels that do not exist."""
    waiting: tuple[str, ...] = ()
    """LocalModels that are not Ready."""
    models: tuple[PooledModel, ...] = ()
    effective: PoolEffective | None = None
    fit: Fit | None = None
    replicas: int = 1
    scaling: Scaling | None = None
    """With every default, where demand decides."""
    decision: Decision | None = None
    revision: str | None = None
    """That of the wanted pods, once they can be planned."""
    outcome: Outcome = field(default_factory=Done)


def plan_pool(facts: PoolFacts, settings: Settings) -> PoolPlan:
    """Decide the next step of one InferencePool."""
    pool = facts.pool
    profile = PROFILES[pool.spec.engine.name]
    known, needed = pooled_models(pool, dict(facts.models)), needed_models(pool.spec)
    fixed = 1 if pool.spec.replicas is None else pool.spec.replicas
    scaling = effective_scaling(pool, profile.in_flight)
    decision = _decision(facts, scaling, settings) if scaling else None
    base = PoolPlan(
        refused=refuse_pool(pool, profile, known),
        missing=tuple(name for name in needed if name not in facts.models),
        waiting=tuple(
            name for name in needed if name in facts.models and not is_ready(facts.models[name])
        ),
        models=known,
        replicas=decision.replicas if decision else fixed,
        scaling=scaling,
        decision=decision,
    )
    if pool.metadata.deletion_timestamp is not None or base.refused or base.missing or base.waiting:
        return base
    return _with_children(base, facts, settings, profile)


def _decision(facts: PoolFacts, scaling: Scaling, settings: Settings) -> Decision:
    seen = Observed(
        asked=facts.deployment.asked if facts.deployment else None,
        pods=live_pods(facts),
        demand=facts.demand,
        moment=facts.moment,
        now=facts.now,
        passing=facts.passing,
    )
    return decide(bounds_of(scaling, settings.delays.scale_down_window), seen, facts.history)


def _with_children(
    base: PoolPlan, facts: PoolFacts, settings: Settings, profile: Profile
) -> PoolPlan:
    pool = facts.pool
    replica, fit = build_replica(pool, profile, base.models, settings)
    replica = replace(replica, restart=_restart(facts))
    replica = _unhurried(replica, facts, base.replicas)
    export = extension_of(pool) if facts.exportable else None
    callers = callers_of(export, settings.exposure.controller_namespaces) if export else ()
    wanted: list[Manifest] = [
        build_service(pool),
        build_network_policy(pool, settings.operator_namespace, callers),
    ]
    if export is not None:
        wanted.append(build_exported_pool(pool, export))
    if replica.run.files:
        wanted.append(build_config_map(pool, replica.run))
    live = _live_deployment(facts)
    deployment = _deployment(facts, replica, base.replicas)
    wanted.append(deployment)
    if base.replicas > 1:
        wanted.append(build_disruption_budget(pool))
    wanted += build_collector(facts, base.models, settings)
    planned = plan_changes(wanted, facts.children, prune=PRUNED)
    scales = plan_scale(pool, live, base.replicas) if not planned.refusals else ()
    return replace(
        base,
        wanted=tuple(wanted),
        changes=(*scales, *planned.changes),
        conflicts=planned.refusals,
        revision=revision_of(deployment),
        effective=_effective(replica, base),
        fit=fit,
        outcome=_outcome(facts, settings, base),
    )


def _live_deployment(facts: PoolFacts) -> Manifest | None:
    name = names.pool_child_name(facts.pool.metadata.name)
    return facts.children.manifests.get(("Deployment", name))


def _deployment(facts: PoolFacts, replica: Replica, replicas: int) -> Manifest:
    built = build_deployment(facts.pool, replica, replicas)
    return handed_over(facts.pool, built, _live_deployment(facts))


def _restart(facts: PoolFacts) -> str | None:
    """Return the restart that is asked for; an annotation that is gone leaves the pods alone."""
    live = _live_deployment(facts)
    wish = asked(facts.pool.metadata, names.RESTART_ANNOTATION)
    return wish or (restart_of(live) if live is not None else None)


def _unhurried(replica: Replica, facts: PoolFacts, replicas: int) -> Replica:
    """Keep the operator image of what runs beside an engine that needs no other change.

    A new operator must not restart engines: its image comes in with the next change of theirs.
    """
    live = _live_deployment(facts)
    image = drain_image(live) if live is not None else None
    if image is None:
        return replica
    kept = replace(replica, operator_image=image)
    wanted = _deployment(facts, kept, replicas)
    return kept if not plan_changes([wanted], facts.children).changes else replica


def _outcome(facts: PoolFacts, settings: Settings, base: PoolPlan) -> Outcome:
    """Look again soon while engines come up: their own answers make no event."""
    if base.replicas == 0:
        return Done()
    live = live_pods(facts)
    proven = [pod for pod in live if pod.uid in facts.reports and _is_proven(facts, pod.uid)]
    if not len(proven) == len(live) == base.replicas:
        return Wait(settings.delays.engine_poll)
    if base.scaling:
        return Wait(settings.delays.scaling_poll)
    return Wait(settings.delays.delivery_poll) if facts.pool.spec.telemetry else Done()


def live_pods(facts: PoolFacts) -> tuple[PodFact, ...]:
    """Return the pods that count: not those that are ending, nor what an eviction left behind."""
    return tuple(
        pod for pod in facts.pods if not pod.deleting and not (pod.phase in _ENDED and pod.reason)
    )


def _is_proven(facts: PoolFacts, uid: str) -> bool:
    report = facts.reports[uid]
    if is_due(facts.pool.metadata, names.VERIFY_ANNOTATION, report.request):
        return False
    return report.answering and all(model.generated is not None for model in report.models)


def is_ready(model: LocalModel) -> bool:
    """Tell whether a model's weights are there, as its own status says for this generation."""
    ready = any(
        condition.type == ConditionType.READY
        and condition.status == "True"
        and condition.observed_generation == model.metadata.generation
        for condition in model.status.conditions
    )
    return ready and model.status.artifact is not None and not model.metadata.deletion_timestamp


def _effective(replica: Replica, base: PoolPlan) -> PoolEffective:
    return PoolEffective(
        image=replica.image,
        replicas=None if base.scaling else base.replicas,
        resource_name=replica.gpu_resource if replica.gpus and not replica.claims_gpus else None,
        gpus=replica.gpus,
        cpu=replica.cpu,
        memory=replica.memory,
        runtime_class_name=replica.runtime_class,
        priority_class_name=replica.priority_class,
        args=replica.run.args,
        scaling=base.scaling,
    )

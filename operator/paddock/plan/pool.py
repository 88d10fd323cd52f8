"""What an InferencePool needs next: its children, or a sentence that says why not.

Pure: facts in, a PoolPlan out. While a model is missing or being pulled, the children that exist
are left as they are: what serves keeps serving.
"""

from dataclasses import dataclass, field

from paddock import names
from paddock.api.inferencepool import Fit, Hardware, InferencePool, PoolEffective
from paddock.api.localmodel import LocalModel
from paddock.api.reasons import ConditionType
from paddock.facts import Change, Done, Outcome, PodFact, PoolFacts, Refusal, Wait
from paddock.plan.changes import plan_changes
from paddock.plan.config_map import build_config_map
from paddock.plan.deployment import Replica, build_deployment
from paddock.plan.disruption_budget import build_disruption_budget
from paddock.plan.engines.profile import PooledModel, Profile, refuse_overrides
from paddock.plan.engines.profile import Refusal as FieldRefusal
from paddock.plan.engines.registry import PROFILES
from paddock.plan.fit import default_memory, fit_of
from paddock.plan.model import claim_of
from paddock.plan.network_policy import build_network_policy
from paddock.plan.service import build_service
from paddock.settings import Images, Settings
from paddock.wire import Manifest

DEFAULT_GPU = "nvidia.com/gpu"
DEFAULT_CPU = "100m"
PRUNED = frozenset({"ConfigMap", "PodDisruptionBudget"})
"""Kinds of children that a pool sometimes has; the others it always has."""


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
    outcome: Outcome = field(default_factory=Done)


def plan_pool(facts: PoolFacts, settings: Settings) -> PoolPlan:
    """Decide the next step of one InferencePool."""
    pool = facts.pool
    profile = PROFILES[pool.spec.engine.name]
    replicas = 1 if pool.spec.replicas is None else pool.spec.replicas
    missing = tuple(each.name for each in pool.spec.models if each.name not in facts.models)
    known = _pooled(facts)
    refused = (
        *refuse_overrides(pool, profile),
        *profile.refuse(pool, known),
        *_refuse_names(pool),
        *_refuse_formats(profile, known),
        *_refuse_claims(pool, known),
    )
    waiting = tuple(each.model.metadata.name for each in known if not is_ready(each.model))
    base = PoolPlan(
        refused=refused, missing=missing, waiting=waiting, models=known, replicas=replicas
    )
    if pool.metadata.deletion_timestamp is not None or refused or missing or waiting:
        return base
    return _with_children(base, facts, settings, profile)


def _with_children(
    base: PoolPlan, facts: PoolFacts, settings: Settings, profile: Profile
) -> PoolPlan:
    pool = facts.pool
    replica = _replica(pool, profile, base.models, settings)
    wanted: list[Manifest] = [
        build_service(pool),
        build_network_policy(pool, settings.operator_namespace),
    ]
    if replica.run.files:
        wanted.append(build_config_map(pool, replica.run))
    wanted.append(build_deployment(pool, replica, base.replicas))
    if base.replicas > 1:
        wanted.append(build_disruption_budget(pool))
    planned = plan_changes(wanted, facts.children, prune=PRUNED)
    hardware = pool.spec.hardware or Hardware()
    return PoolPlan(
        wanted=tuple(wanted),
        changes=planned.changes,
        conflicts=planned.refusals,
        models=base.models,
        replicas=base.replicas,
        effective=_effective(replica, base.replicas),
        fit=fit_of(replica.weights_bytes, hardware.memory),
        outcome=_outcome(facts, settings, base),
    )


def _outcome(facts: PoolFacts, settings: Settings, base: PoolPlan) -> Outcome:
    """Look again soon while engines come up: their own answers make no event."""
    if base.replicas == 0:
        return Done()
    live = live_pods(facts)
    proven = [pod for pod in live if pod.uid in facts.reports and _is_proven(facts, pod.uid)]
    settled = len(proven) == len(live) == base.replicas
    return Done() if settled else Wait(settings.delays.engine_poll)


def live_pods(facts: PoolFacts) -> tuple[PodFact, ...]:
    """Return the pods that count: not those that are ending, nor what an eviction left behind."""
    return tuple(
        pod for pod in facts.pods if not pod.deleting and not (pod.phase in _ENDED and pod.reason)
    )


_ENDED = frozenset({"Failed", "Succeeded"})


def _is_proven(facts: PoolFacts, uid: str) -> bool:
    return all(model.generated is not None for model in facts.reports[uid].models)


def is_ready(model: LocalModel) -> bool:
    """Tell whether a model's weights are there, as its own status says for this generation."""
    ready = any(
        condition.type == ConditionType.READY
        and condition.status == "True"
        and condition.observed_generation == model.metadata.generation
        for condition in model.status.conditions
    )
    return ready and model.status.artifact is not None and not model.metadata.deletion_timestamp


def _pooled(facts: PoolFacts) -> tuple[PooledModel, ...]:
    pairs = [(each, facts.models[each.name]) for each in facts.pool.spec.models
             if each.name in facts.models]  # fmt: skip
    claims = {claim_of(model) for _, model in pairs}
    return tuple(
        PooledModel(
            served_as=each.as_ or each.name,
            model=model,
            store=names.STORE_PATH if len(claims) == 1 else _claim_path(claim_of(model)),
            preload=each.preload is not False,
            context_length=each.context_length,
        )
        for each, model in pairs
    )


def _claim_path(claim: str) -> str:
    return f"{names.CLAIMS_PATH}/{claim}"


def _refuse_names(pool: InferencePool) -> tuple[FieldRefusal, ...]:
    served = [each.as_ or each.name for each in pool.spec.models]
    return tuple(
        FieldRefusal(f"spec.models[{index}]", f"The served name {name} is taken in this pool.")
        for index, name in enumerate(served)
        if name in served[:index]
    )


def _refuse_formats(profile: Profile, models: tuple[PooledModel, ...]) -> tuple[FieldRefusal, ...]:
    return tuple(
        FieldRefusal(
            f"spec.models[{index}]",
            f"{profile.name} does not serve {artifact.format} files.",
        )
        for index, model in enumerate(models)
        if (artifact := model.model.status.artifact) is not None
        and artifact.format not in profile.formats
    )


def _refuse_claims(
    pool: InferencePool, models: tuple[PooledModel, ...]
) -> tuple[FieldRefusal, ...]:
    claims = {claim_of(model.model) for model in models}
    if pool.spec.engine.name != "Ollama" or len(claims) < 2:  # noqa: PLR2004 - several claims
        return ()
    sentence = "The models of an Ollama pool share one claim: set their storage.claimName."
    return (FieldRefusal("spec.models", sentence),)


def _replica(
    pool: InferencePool,
    profile: Profile,
    models: tuple[PooledModel, ...],
    settings: Settings,
) -> Replica:
    hardware = pool.spec.hardware or Hardware()
    weights = sum(
        model.model.status.artifact.bytes for model in models if model.model.status.artifact
    )
    gpus = profile.default_gpus if hardware.gpus is None else hardware.gpus
    claims = sorted({(claim_of(model.model), model.store) for model in models})
    return Replica(
        profile=profile,
        run=profile.run(pool, models),
        image=_image(pool, profile, settings.images, gpus),
        claims=tuple(claims),
        weights_bytes=weights,
        cpu=str(hardware.cpu or DEFAULT_CPU),
        memory=str(hardware.memory or default_memory(weights)),
        gpus=gpus,
        gpu_resource=hardware.resource_name or DEFAULT_GPU,
        gpu_type_label=settings.gpu_type_label,
    )


def _image(pool: InferencePool, profile: Profile, images: Images, gpus: int) -> str:
    own = {"Ollama": images.ollama, "LlamaCpp": images.llama_cpp, "VLLM": images.vllm}
    default = profile.gpu_image if gpus else profile.image
    return pool.spec.engine.image or own[profile.name] or default


def _effective(replica: Replica, replicas: int) -> PoolEffective:
    return PoolEffective(
        image=replica.image,
        replicas=replicas,
        resource_name=replica.gpu_resource if replica.gpus else None,
        gpus=replica.gpus,
        cpu=replica.cpu,
        memory=replica.memory,
        args=replica.run.args,
    )

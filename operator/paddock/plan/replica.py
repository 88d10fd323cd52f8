"""One replica of a pool put together: image, claims, memory, view. Pure."""

from collections.abc import Sequence

from paddock import names
from paddock.api.inferencepool import (
    EngineName,
    Fit,
    Hardware,
    InferencePool,
    Serving,
    needed_models,
)
from paddock.api.localmodel import LocalModel
from paddock.api.view import ViewModel, ViewPlan
from paddock.plan.deployment import NVIDIA_GPU, Replica
from paddock.plan.engines.profile import PooledModel, Profile, gpus_of
from paddock.plan.fit import Load, Need, default_memory, fit_of, need_of
from paddock.plan.model import claim_of
from paddock.settings import HardwareDefaults, Images, Settings

DEFAULT_CPU = "100m"


def pooled_models(pool: InferencePool, known: dict[str, LocalModel]) -> tuple[PooledModel, ...]:
    """Return the pool's models that exist, each with the place of its store in the pod."""
    pairs = [(each, known[each.name]) for each in pool.spec.models if each.name in known]
    needed = [known[name] for name in needed_models(pool.spec) if name in known]
    direct = not _needs_view(pool, [model for _, model in pairs])
    direct = direct and len({claim_of(model) for model in needed}) == 1
    draft = known.get((pool.spec.serving or Serving()).draft_model or "")
    return tuple(
        PooledModel(
            served_as=each.served_as,
            model=model,
            store=_store_of(model, direct=direct),
            preload=each.preload is not False,
            context_length=each.context_length,
            draft=_draft(draft, direct=direct) if draft is not None else None,
        )
        for each, model in pairs
    )


def _store_of(model: LocalModel, *, direct: bool) -> str:
    return names.STORE_PATH if direct else f"{names.CLAIMS_PATH}/{claim_of(model)}"


def _draft(model: LocalModel, *, direct: bool) -> PooledModel:
    store = _store_of(model, direct=direct)
    return PooledModel(model.metadata.name, model, store, preload=True, context_length=None)


def _needs_view(pool: InferencePool, models: Sequence[LocalModel]) -> bool:
    """Tell whether the claims' own stores do not say what the pool wants said.

    Only Ollama finds models by a folder of manifests; the others are given each model's path.
    """
    if pool.spec.engine.name is not EngineName.OLLAMA:
        return False
    own = any(
        each.context_length is not None or each.as_ not in (None, each.name)
        for each in pool.spec.models
    )
    return own or len({claim_of(model) for model in models}) > 1


def build_replica(
    pool: InferencePool, profile: Profile, models: tuple[PooledModel, ...], settings: Settings
) -> tuple[Replica, Fit]:
    """Return the replica and the arithmetic of its memory."""
    hardware = pool.spec.hardware or Hardware()
    gpus = gpus_of(pool, profile)
    held = (*models, *(model.draft for model in models if model.draft is not None))
    need = _need(pool, profile, held, gpus)
    memory = str(hardware.memory or default_memory(need))
    replica = Replica(
        profile=profile,
        run=profile.run(pool, models),
        image=_image(pool, profile, settings.images, gpus),
        claims=tuple(sorted({(claim_of(model.model), model.store) for model in held})),
        weights_bytes=sum(map(_bytes_of, held)),
        cpu=str(hardware.cpu or DEFAULT_CPU),
        memory=memory,
        gpus=gpus,
        gpu_resource=_gpu_resource(hardware, settings.hardware),
        gpu_type_label=settings.gpu_type_label,
        runtime_class=_runtime_class(hardware, settings.hardware, gpus),
        priority_class=hardware.priority_class_name or settings.hardware.priority_class,
        claims_gpus=hardware.device_claim is not None,
        view=_view(pool, models),
        operator_image=settings.images.operator,
        unnamed_weights=tuple(
            model.model.status.artifact.digest
            for model in held
            if model.model.status.artifact is not None and model.is_split
        ),
    )
    return replica, fit_of(need, None if gpus else memory)


def _gpu_resource(hardware: Hardware, defaults: HardwareDefaults) -> str:
    """Return the resource that is asked for; to say how GPUs are shared is to mean NVIDIA's."""
    unsaid = NVIDIA_GPU if hardware.sharing is not None else defaults.gpu_resource
    return hardware.resource_name or unsaid


def _runtime_class(hardware: Hardware, defaults: HardwareDefaults, gpus: int) -> str | None:
    unsaid = defaults.gpu_runtime_class if gpus else None
    return hardware.runtime_class_name or unsaid


def _bytes_of(model: PooledModel) -> int:
    artifact = model.model.status.artifact
    return artifact.bytes if artifact else 0


def _need(pool: InferencePool, profile: Profile, models: Sequence[PooledModel], gpus: int) -> Need:
    loads = [
        Load(
            weights_bytes=_bytes_of(model),
            cache_values_per_token=artifact.cache_values_per_token
            if (artifact := model.model.status.artifact)
            else None,
            tokens=profile.tokens(pool, model, gpus),
        )
        for model in models
    ]
    serving = pool.spec.serving or Serving()
    return need_of(
        loads, at_once=profile.models_at_once * max(gpus, 1), cache_type=serving.kv_cache_type
    )


def _image(pool: InferencePool, profile: Profile, images: Images, gpus: int) -> str:
    own = {"Ollama": images.ollama, "LlamaCpp": images.llama_cpp, "VLLM": images.vllm}
    default = profile.gpu_image if gpus else profile.image
    return pool.spec.engine.image or own[profile.name] or images.mirrored(default)


def _view(pool: InferencePool, models: Sequence[PooledModel]) -> ViewPlan | None:
    if not _needs_view(pool, [model.model for model in models]):
        return None
    return ViewPlan(
        models=tuple(
            ViewModel(
                name=model.model.metadata.name,
                store=model.store,
                served_as=model.served_as,
                context_length=model.context_length,
            )
            for model in models
        )
    )

"""llama.cpp's server: one model in one process, or several behind its router.

Facts from llama-server build 11669, tried. A model is named by its blob's path, so that /props
(one model) and /v1/models (router) tell the digest that is really open. In the router a name's part
after a colon is upper-cased, so colons are refused there.
"""

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool, Serving
from paddock.plan.engines.profile import (
    CONFIG_PATH,
    DEVICE_VARIABLES,
    OPENAI_PATHS,
    EngineRun,
    PooledModel,
    Profile,
    Refusal,
    declared_context,
    gpus_of,
    refuse_knobs,
    refuse_modelfile,
    unload_seconds,
)

PRESET = "models.ini"
_JINJA = "--jinja"
_ENV = {"HOME": names.SCRATCH_PATH}
"""The router looks for a cache folder under HOME at start, and ends where it finds none."""
_REFUSED = {
    "max_queue": "llama.cpp's queue has no limit; leave maxQueue out.",
    "keep_alive": "llama.cpp has no such time per request; use scaling.idle.unloadAfter.",
    "tensor_parallel": "llama.cpp splits by layer; leave tensorParallel out.",
    "gpu_memory_utilization": "llama.cpp takes what its layers need; use gpuLayers.",
}
DEFAULT_CONTEXT = 8192
"""Per request, where nobody asks: models made for 131072 tokens would need tens of GiB of cache."""
_CACHE_TYPES = frozenset({"f16", "bf16", "q8_0", "q4_0"})
_NOT_IN_MODELFILE = {
    "system": "llama.cpp has no default system prompt; send it in the request.",
    "template": "Ollama's templates are Go templates; llama.cpp uses the one in the GGUF.",
    "parameters.stop": "llama.cpp has no default stop strings; send them in the request.",
}
_SAMPLING = {
    "temperature": "temp", "top_p": "top-p", "top_k": "top-k", "min_p": "min-p",
    "repeat_penalty": "repeat-penalty", "seed": "seed", "num_predict": "predict",
}  # fmt: skip


def refuse(pool: InferencePool, models: tuple[PooledModel, ...]) -> tuple[Refusal, ...]:
    """Refuse what llama.cpp cannot honour."""
    refused = list(refuse_knobs(pool, _REFUSED))
    serving = pool.spec.serving or Serving()
    if isinstance(serving.gpu_layers, int) and serving.gpu_layers and not gpus_of(pool, PROFILE):
        sentence = "Without hardware.gpus there is no GPU to put layers on."
        refused.append(Refusal("spec.serving.gpuLayers", sentence))
    if serving.kv_cache_type is not None and serving.kv_cache_type not in _CACHE_TYPES:
        sentence = "llama.cpp has the cache types f16, bf16, q8_0 and q4_0."
        refused.append(Refusal("spec.serving.kvCacheType", sentence))
    if serving.draft_model is not None and len(pool.spec.models) > 1:
        sentence = "llama.cpp drafts for one model only; make more pools."
        refused.append(Refusal("spec.serving.draftModel", sentence))
    for index, each in enumerate(pool.spec.models):
        if len(pool.spec.models) > 1 and ":" in each.served_as:
            sentence = "With several models llama.cpp changes names with a colon; use a dash."
            refused.append(Refusal(f"spec.models[{index}].as", sentence))
        if each.preload is False and len(pool.spec.models) == 1:
            sentence = "llama.cpp always loads its only model at start; leave preload out."
            refused.append(Refusal(f"spec.models[{index}].preload", sentence))
    for index, model in enumerate(models):
        refused += refuse_modelfile(index, model, _NOT_IN_MODELFILE)
    return tuple(refused)


def run(pool: InferencePool, models: tuple[PooledModel, ...]) -> EngineRun:
    """Return how llama-server runs."""
    common = ("--host", "0.0.0.0", "--port", str(names.ENGINE_PORT),  # noqa: S104 - the pod's own network
              "--metrics", "--no-slots", "--no-webui", "--offline")  # fmt: skip
    options = _serving_options(pool.spec.serving or Serving())
    unload = unload_seconds(pool)
    if unload is not None:
        options["sleep-idle-seconds"] = str(unload)
    if len(models) == 1:
        (only,) = models
        own = {**options, **_model_options(pool, only), "alias": only.served_as}
        own["model"] = _path(only)
        if only.draft is not None:
            own |= {"spec-type": "draft-simple", "spec-draft-model": _path(only.draft)}
        template = _template_options(pool, only)
        switches = {"--no-jinja": bool(template), "--embeddings": only.only_embeds}
        chosen = (switch for switch, on in switches.items() if on)
        return EngineRun(args=(*common, *_flags({**own, **template}), *chosen), env=_ENV)
    sections = [_section(pool, model) for model in models]
    return EngineRun(
        args=(*common, "--models-preset", f"{CONFIG_PATH}/{PRESET}", *_flags(options)),
        env=_ENV,
        files={PRESET: "\n".join(sections)},
    )


def _template_options(pool: InferencePool, model: PooledModel) -> dict[str, str]:
    """Name llama.cpp's built-in template for weights that bring none; ChatML it takes by itself.

    Built-in templates are named to the server without its Jinja engine only.
    """
    artifact = model.model.status.artifact
    family = artifact.chat_template if artifact is not None else None
    if family in (None, "chatml") or _JINJA in (pool.spec.engine.args or ()):
        return {}
    return {"chat-template": str(family)}


def _path(model: PooledModel) -> str:
    """Return the path to open: the blob, or a split model's first file beside its siblings."""
    return model.view_path if model.is_split else model.blob_path


def _serving_options(serving: Serving) -> dict[str, str]:
    options: dict[str, object] = {
        "parallel": serving.parallel,
        "batch-size": serving.batch_size,
        "threads": serving.threads,
        "gpu-layers": None if serving.gpu_layers == "Auto" else serving.gpu_layers,
        "flash-attn": {True: "on", False: "off", None: None}[serving.flash_attention],
        "cache-type-k": serving.kv_cache_type,
        "cache-type-v": serving.kv_cache_type,
        "load-mode": _load_mode(serving),
    }
    return {name: str(value) for name, value in options.items() if value is not None}


def _load_mode(serving: Serving) -> str | None:
    if serving.mmap is None and serving.mlock is None:
        return None
    chosen = [name for name, on in (("mmap", serving.mmap), ("mlock", serving.mlock)) if on]
    return "+".join(chosen) or "none"


def _model_options(pool: InferencePool, model: PooledModel) -> dict[str, str]:
    """Return one model's own options; the context is shared by the parallel slots."""
    options: dict[str, object] = {
        flag: getattr(model.parameters, name) for name, flag in _SAMPLING.items()
    }
    options["ctx-size"] = tokens(pool, model, 0)
    return {name: str(value) for name, value in options.items() if value is not None}


def tokens(pool: InferencePool, model: PooledModel, gpus: int) -> int:
    """Return the context of all slots: each has what one request may use."""
    del gpus
    serving = pool.spec.serving or Serving()
    default = min(model.trained_context or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    return (declared_context(pool, model) or default) * (serving.parallel or 1)


def _flags(options: dict[str, str]) -> tuple[str, ...]:
    return tuple(part for name, value in sorted(options.items()) for part in (f"--{name}", value))


def _section(pool: InferencePool, model: PooledModel) -> str:
    lines = {**_model_options(pool, model), "model": _path(model)}
    if template := _template_options(pool, model):
        lines |= template | {"jinja": "false"}
    if model.only_embeds:
        lines["embeddings"] = "true"
    if model.preload:
        lines["load-on-startup"] = "true"
    body = "".join(f"{name} = {value}\n" for name, value in sorted(lines.items()))
    return f"[{model.served_as}]\n{body}"


PROFILE = Profile(
    name=EngineName.LLAMA_CPP,
    image="ghcr.io/ggml-org/llama.cpp:server-b11669",
    gpu_image="ghcr.io/ggml-org/llama.cpp:server-cuda-b11669",
    default_gpus=0,
    formats=frozenset({"gguf"}),
    variables=DEVICE_VARIABLES | {"GGML_CUDA_ENABLE_UNIFIED_MEMORY", "GGML_CUDA_DISABLE_GRAPHS"},
    flags=frozenset(
        {"--ubatch-size", "--split-mode", "--tensor-split", "--main-gpu", "--numa",
         "--rope-scaling", "--rope-freq-base", "--rope-freq-scale", "--yarn-orig-ctx",
         "--threads-batch", "--reasoning-format", _JINJA, "--pooling", "--embeddings",
         "--reranking", "--models-max", "--cache-reuse", "--cpu-moe", "--n-cpu-moe"}
    ),
    refuse=refuse,
    run=run,
    tokens=tokens,
    paths=OPENAI_PATHS | {"/v1/rerank", "/v1/audio/transcriptions"},
    models_at_once=4,
    keeps_connections=False,
)  # fmt: skip

"""Ollama: many models in one server, read live from its own store layout.

Facts from ollama 0.17.4 (envconfig/config.go), tried as a non-root user on a read-only store.
"""

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool, Serving
from paddock.plan.engines.profile import (
    DEVICE_VARIABLES,
    OPENAI_PATHS,
    EngineRun,
    PooledModel,
    Profile,
    Refusal,
    declared_context,
    refuse_knobs,
    unload_seconds,
)

_REFUSED = {
    "batch_size": "Ollama sets the batch size per request (num_batch), not per server.",
    "threads": "Ollama sets threads per model (num_thread), not per server.",
    "gpu_layers": "Ollama places layers itself; leave gpuLayers out.",
    "mmap": "Ollama sets use_mmap per request; leave mmap out.",
    "mlock": "Ollama sets use_mlock per request; leave mlock out.",
    "tensor_parallel": "Ollama spreads over GPUs itself; leave tensorParallel out.",
    "draft_model": "Ollama has no draft models; use LlamaCpp.",
    "gpu_memory_utilization": "Ollama measures GPU memory itself; leave it out.",
}
DEFAULT_CONTEXT = 4096
"""Ollama's own default on CPUs; on GPUs it chooses by the memory it finds."""
_CACHE_TYPES = frozenset({"f16", "q8_0", "q4_0"})
_LONGEST_NAME = 80
"""Of a name's own part (types/model/name.go)."""
_TRUE = "1"


def refuse(pool: InferencePool, models: tuple[PooledModel, ...]) -> tuple[Refusal, ...]:
    """Refuse what Ollama cannot honour."""
    refused = list(refuse_knobs(pool, _REFUSED))
    serving = pool.spec.serving or Serving()
    if serving.kv_cache_type is not None and serving.kv_cache_type not in _CACHE_TYPES:
        sentence = "Ollama has the cache types f16, q8_0 and q4_0."
        refused.append(Refusal("spec.serving.kvCacheType", sentence))
    if serving.keep_alive is not None and unload_seconds(pool) is not None:
        sentence = "It says the same as serving.keepAlive; leave one of them out."
        refused.append(Refusal("spec.scaling.idle.unloadAfter", sentence))
    refused += [
        Refusal(f"spec.models[{index}]", "Ollama's names have 80 characters at most; set as.")
        for index, each in enumerate(pool.spec.models)
        if len(each.served_as.partition(":")[0]) > _LONGEST_NAME
    ]
    refused += [
        Refusal(f"spec.models[{index}]", "Ollama serves models that are one GGUF file.")
        for index, model in enumerate(models)
        if model.is_split
    ]
    return tuple(refused)


def run(pool: InferencePool, models: tuple[PooledModel, ...]) -> EngineRun:
    """Return how Ollama runs; it reads manifests live, so models join without a restart."""
    del models
    serving, unload = pool.spec.serving or Serving(), unload_seconds(pool)
    env = {
        "OLLAMA_HOST": f"0.0.0.0:{names.ENGINE_PORT}",
        "OLLAMA_MODELS": names.STORE_PATH,
        "OLLAMA_NOPRUNE": _TRUE,
        "HOME": names.SCRATCH_PATH,
    }
    knobs: dict[str, object] = {
        "OLLAMA_CONTEXT_LENGTH": serving.context_length,
        "OLLAMA_NUM_PARALLEL": serving.parallel,
        "OLLAMA_MAX_QUEUE": serving.max_queue,
        "OLLAMA_KV_CACHE_TYPE": serving.kv_cache_type,
        "OLLAMA_KEEP_ALIVE": serving.keep_alive if unload is None else f"{unload}s",
        "OLLAMA_FLASH_ATTENTION": _flag(serving.flash_attention),
    }
    env.update({name: str(value) for name, value in knobs.items() if value is not None})
    return EngineRun(args=("serve",), env=env)


def tokens(pool: InferencePool, model: PooledModel, gpus: int) -> int | None:
    """Return the context of all parallel requests; a context the model was not made for is cut."""
    context = declared_context(pool, model) or (None if gpus else DEFAULT_CONTEXT)
    if context is None:
        return None
    serving = pool.spec.serving or Serving()
    return min(context, model.trained_context or context) * (serving.parallel or 1)


def _flag(value: bool | None) -> str | None:  # noqa: FBT001 - a tri-state, not a switch
    return None if value is None else str(int(value))


PROFILE = Profile(
    name=EngineName.OLLAMA,
    image="docker.io/ollama/ollama:0.17.4",
    gpu_image="docker.io/ollama/ollama:0.17.4",
    default_gpus=0,
    formats=frozenset({"gguf"}),
    variables=DEVICE_VARIABLES
    | {"OLLAMA_LOAD_TIMEOUT", "OLLAMA_MAX_LOADED_MODELS", "OLLAMA_SCHED_SPREAD",
       "OLLAMA_GPU_OVERHEAD", "OLLAMA_MULTIUSER_CACHE", "OLLAMA_NEW_ENGINE", "OLLAMA_VULKAN"},
    flags=frozenset(),
    refuse=refuse,
    run=run,
    tokens=tokens,
    paths=OPENAI_PATHS | {"/api/generate", "/api/chat", "/api/embed", "/api/embeddings"},
    models_at_once=3,
    loads_at_start=False,
    in_flight=1,
)  # fmt: skip

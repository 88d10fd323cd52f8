"""vLLM: one model in one server, on GPUs.

Facts from vLLM's documentation of `vllm serve` (0.11); this profile was never run here, as no GPU
was available. Images run as any user when HOME and the caches are writable.
"""

from paddock import names
from paddock.api.inferencepool import EngineName, Hardware, InferencePool, Serving
from paddock.plan.engines.profile import (
    EngineRun,
    PooledModel,
    Profile,
    Refusal,
    refuse_knobs,
)
from paddock.wire import Json

_REFUSED = {
    "max_queue": "vLLM's queue has no limit; leave maxQueue out.",
    "threads": "vLLM runs on the GPU; leave threads out.",
    "gpu_layers": "vLLM holds the whole model on the GPU; leave gpuLayers out.",
    "flash_attention": "vLLM chooses its attention backend itself; leave flashAttention out.",
    "keep_alive": "vLLM keeps its model loaded; leave keepAlive out.",
    "mmap": "vLLM copies weights to the GPU; leave mmap out.",
    "mlock": "vLLM copies weights to the GPU; leave mlock out.",
}
_CACHE_TYPES = {"fp8": "fp8", "bf16": "bfloat16"}


def refuse(pool: InferencePool, models: tuple[PooledModel, ...]) -> tuple[Refusal, ...]:
    """Refuse what vLLM cannot honour."""
    refused = list(refuse_knobs(pool, _REFUSED))
    serving, hardware = pool.spec.serving or Serving(), pool.spec.hardware or Hardware()
    if serving.kv_cache_type is not None and serving.kv_cache_type not in _CACHE_TYPES:
        sentence = "vLLM has the cache types bf16 and fp8."
        refused.append(Refusal("spec.serving.kvCacheType", sentence))
    if hardware.gpus == 0:
        sentence = "vLLM needs a GPU; use LlamaCpp or Ollama on CPUs."
        refused.append(Refusal("spec.hardware.gpus", sentence))
    gpus = hardware.gpus or PROFILE.default_gpus
    if serving.tensor_parallel is not None and serving.tensor_parallel > gpus:
        sentence = f"tensorParallel needs as many GPUs; each replica has {gpus}."
        refused.append(Refusal("spec.serving.tensorParallel", sentence))
    refused += [
        Refusal(f"spec.models[{index}].preload", "vLLM always loads its model at start.")
        for index, each in enumerate(pool.spec.models)
        if each.preload is False
    ]
    refused += [
        Refusal(
            f"spec.models[0] (modelfile of {model.model.metadata.name})",
            "vLLM takes its defaults from the model's own files; leave modelfile out.",
        )
        for model in models
        if model.model.spec.modelfile is not None
    ]
    return tuple(refused)


def run(pool: InferencePool, models: tuple[PooledModel, ...]) -> EngineRun:
    """Return how vLLM runs."""
    (model,) = models
    serving, hardware = pool.spec.serving or Serving(), pool.spec.hardware or Hardware()
    artifact = model.model.status.artifact
    path = model.blob_path if artifact and artifact.format == "gguf" else model.view_folder
    options: dict[str, object] = {
        "served-model-name": model.served_as,
        "host": "0.0.0.0",  # noqa: S104 - the pod's own network
        "port": names.ENGINE_PORT,
        "max-model-len": model.context_length or serving.context_length,
        "max-num-seqs": serving.parallel,
        "max-num-batched-tokens": serving.batch_size,
        "kv-cache-dtype": _CACHE_TYPES.get(serving.kv_cache_type or ""),
        "tensor-parallel-size": serving.tensor_parallel or hardware.gpus,
        "gpu-memory-utilization": serving.gpu_memory_utilization,
    }
    flags = [
        part
        for name, value in sorted(options.items())
        if value is not None
        for part in (f"--{name}", str(value))
    ]
    memory: Json = {"medium": "Memory", "sizeLimit": "8Gi"}
    return EngineRun(
        command=("vllm", "serve", path),
        args=tuple(flags),
        env={
            "HOME": names.SCRATCH_PATH,
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            "XDG_CACHE_HOME": names.SCRATCH_PATH,
        },
        volumes=(("shm", "/dev/shm", memory),),  # noqa: S108 - the pod's own shared memory
    )


PROFILE = Profile(
    name=EngineName.VLLM,
    image="docker.io/vllm/vllm-openai:v0.11.0",
    gpu_image="docker.io/vllm/vllm-openai:v0.11.0",
    health_path="/health",
    default_gpus=1,
    formats=frozenset({"gguf", "safetensors"}),
    env_prefixes=("VLLM_LOGGING_", "NCCL_", "CUDA_", "ROCR_", "HSA_"),
    flags=frozenset(
        {"--enable-prefix-caching", "--enable-chunked-prefill", "--dtype", "--quantization",
         "--enable-auto-tool-choice", "--tool-call-parser", "--reasoning-parser",
         "--pipeline-parallel-size", "--swap-space", "--cpu-offload-gb", "--enforce-eager"}
    ),
    refuse=refuse,
    run=run,
)  # fmt: skip

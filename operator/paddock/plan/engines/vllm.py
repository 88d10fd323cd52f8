"""vLLM: one model in one server, on GPUs.

Tried on vLLM 0.11.0 in its build for CPUs, as in a pod; on GPUs never, as none was available. It
runs as a user it does not know when HOME is writable and USER is set: PyTorch asks for the user's
name when it is imported (vllm issue 44548). A draft model ends it at its start (vllm issue 31883).
The image of 0.11 lacks OpenTelemetry's packages, without which it does not start when asked for
spans (vllm pull request 34466).
"""

import json

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool, Serving, tells_spans
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
from paddock.plan.telemetry.spans import ENGINE, POOL
from paddock.wire import Json

_REFUSED = {
    "max_queue": "vLLM's queue has no limit; leave maxQueue out.",
    "threads": "vLLM runs on the GPU; leave threads out.",
    "gpu_layers": "vLLM holds the whole model on the GPU; leave gpuLayers out.",
    "flash_attention": "vLLM chooses its attention backend itself; leave flashAttention out.",
    "keep_alive": "vLLM keeps its model loaded; leave keepAlive out.",
    "mmap": "vLLM copies weights to the GPU; leave mmap out.",
    "mlock": "vLLM copies weights to the GPU; leave mlock out.",
    "draft_model": "vLLM 0.11 takes no draft model; leave draftModel out.",
}
_NOT_IN_MODELFILE = {
    "system": "vLLM has no default system prompt; send it in the request.",
    "template": "Ollama's templates are Go templates; vLLM uses the model's own.",
    "parameters.stop": "vLLM has no default stop strings; send them in the request.",
    "parameters.seed": "vLLM has no default seed of requests; send it in the request.",
}
_SAMPLING = {
    "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p",
    "repeat_penalty": "repetition_penalty", "num_predict": "max_new_tokens",
}  # fmt: skip
"""What --override-generation-config takes."""
_SPANS_GO_TO = f"http://{names.GATEWAY_COLLECTOR}:{names.OTLP_PORT}"
"""The Collector of the gateway beside it, by gRPC, which is vLLM's default."""
_LOGGING = "logging.json"
_ENGINES_OWN = ("vllm.v1.engine.core", "vllm.v1.executor.multiproc_executor")
"""Loggers of the processes that hold the model; none of them is told a caller's words."""
_CACHE_TYPE = "fp8"
"""0.11 takes `bfloat16` as a flag, and ends at its first write (vllm pull request 38922)."""


def refuse(pool: InferencePool, models: tuple[PooledModel, ...]) -> tuple[Refusal, ...]:
    """Refuse what vLLM cannot honour."""
    refused = list(refuse_knobs(pool, _REFUSED))
    serving, gpus = pool.spec.serving or Serving(), gpus_of(pool, PROFILE)
    if serving.kv_cache_type not in (None, _CACHE_TYPE):
        sentence = "vLLM's cache is of the model's own type, or fp8; leave kvCacheType out, or fp8."
        refused.append(Refusal("spec.serving.kvCacheType", sentence))
    if serving.batch_size is not None and serving.batch_size < (serving.parallel or 1):
        sentence = "vLLM's batch holds a token of each request; raise it to parallel, or more."
        refused.append(Refusal("spec.serving.batchSize", sentence))
    if not gpus:
        sentence = "vLLM needs a GPU; use LlamaCpp or Ollama on CPUs."
        refused.append(Refusal("spec.hardware.gpus", sentence))
    if serving.tensor_parallel is not None and gpus % serving.tensor_parallel:
        sentence = f"tensorParallel must divide the GPUs of a replica; there are {gpus}."
        refused.append(Refusal("spec.serving.tensorParallel", sentence))
    if unload_seconds(pool) is not None:
        sentence = "vLLM does not load its model again by itself; use zeroAfter."
        refused.append(Refusal("spec.scaling.idle.unloadAfter", sentence))
    if len(pool.spec.models) != 1:
        refused.append(Refusal("spec.models", "vLLM serves exactly one model; make more pools."))
    refused += [
        Refusal(f"spec.models[{index}].preload", "vLLM always loads its model at start.")
        for index, each in enumerate(pool.spec.models)
        if each.preload is False
    ]
    for index, model in enumerate(models):
        refused += refuse_modelfile(index, model, _NOT_IN_MODELFILE)
        if model.is_split and _is_gguf(model):
            sentence = "vLLM reads GGUF models of one file only; use LlamaCpp, or safetensors."
            refused.append(Refusal(f"spec.models[{index}]", sentence))
    return tuple(refused)


def _is_gguf(model: PooledModel) -> bool:
    artifact = model.model.status.artifact
    return artifact is not None and artifact.format == "gguf"


def run(pool: InferencePool, models: tuple[PooledModel, ...]) -> EngineRun:
    """Return how vLLM runs."""
    (model,) = models
    serving = pool.spec.serving or Serving()
    path = model.blob_path if _is_gguf(model) else model.view_folder
    options: dict[str, object] = {
        "served-model-name": model.served_as,
        "host": "0.0.0.0",  # noqa: S104 - the pod's own network
        "port": names.ENGINE_PORT,
        "max-model-len": declared_context(pool, model),
        "max-num-seqs": serving.parallel,
        "max-num-batched-tokens": serving.batch_size,
        "kv-cache-dtype": serving.kv_cache_type,
        "tensor-parallel-size": serving.tensor_parallel or gpus_of(pool, PROFILE),
        "gpu-memory-utilization": serving.gpu_memory_utilization,
        "override-generation-config": _generation(model),
        "otlp-traces-endpoint": _SPANS_GO_TO if tells_spans(pool.spec) else None,
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
        files={_LOGGING: _logging()},
        env={
            "VLLM_LOGGING_CONFIG_PATH": f"{CONFIG_PATH}/{_LOGGING}",
            "HOME": names.SCRATCH_PATH,
            "USER": names.MANAGED_BY,
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "XDG_CACHE_HOME": names.SCRATCH_PATH,
            **(_resource(pool) if tells_spans(pool.spec) else {}),
        },
        volumes=(("shm", "/dev/shm", memory),),  # noqa: S108 - the pod's own shared memory
    )


def _logging() -> str:
    """Return how vLLM logs: as it does by itself, and errors of a start as the container's last.

    Why a model does not load is said in a process of its own, and 2048 bytes of another's follow.
    """
    own: Json = {"handlers": ["last"], "level": "ERROR"}
    config: Json = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"format": "%(levelname)s %(asctime)s [%(filename)s:%(lineno)d] %(message)s"}
        },
        "handlers": {
            "out": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "line",
            },
            "last": {
                "class": "logging.FileHandler",
                "filename": names.LAST_WORDS_PATH,
                "level": "ERROR",
                "delay": True,
                "formatter": "line",
            },
        },
        "loggers": {
            "vllm": {"handlers": ["out"], "level": "INFO", "propagate": False},
            **dict.fromkeys(_ENGINES_OWN, own),
        },
    }
    return json.dumps(config, indent=1)


def _resource(pool: InferencePool) -> dict[str, str]:
    """Return what vLLM's spans say of where they come from."""
    return {
        "OTEL_SERVICE_NAME": "vllm",
        "OTEL_RESOURCE_ATTRIBUTES": f"{POOL}={pool.metadata.name},{ENGINE}={PROFILE.name.value},"
        f"k8s.namespace.name={pool.metadata.namespace}",
    }


def _generation(model: PooledModel) -> str | None:
    """Return the Modelfile's sampling defaults as vLLM reads them."""
    values = {theirs: getattr(model.parameters, ours) for ours, theirs in _SAMPLING.items()}
    given = {name: value for name, value in values.items() if value is not None}
    return json.dumps(given, sort_keys=True) if given else None


def tokens(pool: InferencePool, model: PooledModel, gpus: int) -> int | None:
    """Return what one request may use at most; vLLM gives all memory that is left to the cache."""
    del gpus
    return declared_context(pool, model) or model.trained_context


PROFILE = Profile(
    name=EngineName.VLLM,
    image="docker.io/vllm/vllm-openai:v0.11.0",
    gpu_image="docker.io/vllm/vllm-openai:v0.11.0",
    default_gpus=1,
    formats=frozenset({"gguf", "safetensors"}),
    variables=DEVICE_VARIABLES
    | {"VLLM_ATTENTION_BACKEND", "VLLM_USE_V1", "VLLM_WORKER_MULTIPROC_METHOD", "NCCL_P2P_DISABLE",
       "NCCL_IB_DISABLE", "NCCL_SOCKET_IFNAME", "NCCL_DEBUG", "PYTORCH_CUDA_ALLOC_CONF"},
    flags=frozenset(
        {"--enable-prefix-caching", "--enable-chunked-prefill", "--dtype", "--quantization",
         "--enable-auto-tool-choice", "--tool-call-parser", "--reasoning-parser",
         "--pipeline-parallel-size", "--swap-space", "--cpu-offload-gb", "--enforce-eager",
         "--runner", "--convert", "--pooler-config"}
    ),
    refuse=refuse,
    run=run,
    tokens=tokens,
    paths=OPENAI_PATHS
    | {"/v1/rerank", "/v1/audio/transcriptions", "/v1/audio/translations"},
    joins_flags=True,
    in_flight=32,
    start_seconds=900,
)  # fmt: skip

"""Every `serving` knob and Modelfile field is mapped or refused by name, in every engine."""

import pytest

from paddock.api.inferencepool import EngineName, Serving
from paddock.api.localmodel import LocalModel, ModelfileParameters
from paddock.plan.engines.profile import PooledModel
from paddock.plan.engines.registry import PROFILES
from paddock.plan.pool import plan_pool
from paddock.plan.replica import pooled_models
from paddock.wire import Json
from support.pools import DIGEST, OTHER_DIGEST, SETTINGS, fresh
from support.stores import pool_of, ready_model

KNOBS: dict[str, Json] = {
    "contextLength": 512, "parallel": 3, "maxQueue": 9, "batchSize": 128, "threads": 2,
    "gpuLayers": 7, "flashAttention": False, "kvCacheType": "bf16", "keepAlive": "5m",
    "mmap": True, "mlock": True, "tensorParallel": 2, "gpuMemoryUtilization": 0.5,
    "draftModel": "small",
}  # fmt: skip
MAPPED: dict[EngineName, dict[str, Json]] = {
    EngineName.OLLAMA: {
        "contextLength": ("OLLAMA_CONTEXT_LENGTH", "512"),
        "parallel": ("OLLAMA_NUM_PARALLEL", "3"),
        "maxQueue": ("OLLAMA_MAX_QUEUE", "9"),
        "flashAttention": ("OLLAMA_FLASH_ATTENTION", "0"),
        "keepAlive": ("OLLAMA_KEEP_ALIVE", "5m"),
    },
    EngineName.LLAMA_CPP: {
        "contextLength": ("--ctx-size", "512"),
        "parallel": ("--parallel", "3"),
        "batchSize": ("--batch-size", "128"),
        "threads": ("--threads", "2"),
        "gpuLayers": ("--gpu-layers", "7"),
        "flashAttention": ("--flash-attn", "off"),
        "kvCacheType": ("--cache-type-k", "bf16"),
        "mmap": ("--load-mode", "mmap"),
        "mlock": ("--load-mode", "mlock"),
        "draftModel": ("--spec-draft-model", f"/store/blobs/sha256-{'b' * 64}"),
    },
    EngineName.VLLM: {
        "contextLength": ("--max-model-len", "512"),
        "parallel": ("--max-num-seqs", "3"),
        "batchSize": ("--max-num-batched-tokens", "128"),
        "tensorParallel": ("--tensor-parallel-size", "2"),
        "gpuMemoryUtilization": ("--gpu-memory-utilization", "0.5"),
    },
}


def test_table_names_every_knob() -> None:
    assert set(KNOBS) == {info.alias for info in Serving.model_fields.values()}


@pytest.mark.parametrize("engine", EngineName)
@pytest.mark.parametrize("knob", KNOBS)
def test_knob_is_mapped_or_refused_by_its_path(engine: EngineName, knob: str) -> None:
    facts = fresh(engine, serving={knob: KNOBS[knob]}, hardware={"gpus": 2})
    plan = plan_pool(facts, SETTINGS)
    expected = MAPPED[engine].get(knob)
    if expected is None:
        assert [refusal.path for refusal in plan.refused] == [f"spec.serving.{knob}"]
        assert plan.wanted == ()
    else:
        assert plan.refused == ()
        assert expected in pairs(engine, serving={knob: KNOBS[knob]})


def test_vllm_has_a_smaller_cache_or_that_of_the_models_own_type() -> None:
    assert ("--kv-cache-dtype", "fp8") in pairs(EngineName.VLLM, serving={"kvCacheType": "fp8"})


def pairs(engine: EngineName, **spec: Json) -> set[tuple[str, str]]:
    pool = pool_of(engine, "alpha", hardware={"gpus": 2}, **spec)
    models = {"alpha": ready_model("alpha", DIGEST), "small": ready_model("small", OTHER_DIGEST)}
    run = PROFILES[engine].run(pool, pooled_models(pool, models))
    return {*run.env.items(), *zip(run.args, run.args[1:], strict=False)}


def pooled(model: LocalModel) -> PooledModel:
    return PooledModel(model.metadata.name, model, "/store", preload=True, context_length=None)


PARAMETERS: dict[str, Json] = {
    "temperature": 0.5, "topP": 0.5, "topK": 5, "minP": 0.1, "repeatPenalty": 1.2, "seed": 4,
    "numCtx": 256, "numPredict": 6, "stop": ["END"],
}  # fmt: skip
HONOURED = {
    EngineName.OLLAMA: set(PARAMETERS),
    EngineName.LLAMA_CPP: set(PARAMETERS) - {"stop"},
    EngineName.VLLM: set(PARAMETERS) - {"stop", "seed"},
}


def test_table_names_every_parameter() -> None:
    assert set(PARAMETERS) == {info.alias for info in ModelfileParameters.model_fields.values()}


@pytest.mark.parametrize("engine", EngineName)
@pytest.mark.parametrize("name", PARAMETERS)
def test_modelfile_parameter_is_honoured_or_refused_by_its_path(
    engine: EngineName, name: str
) -> None:
    refused = refusals(engine, {"parameters": {name: PARAMETERS[name]}})
    path = f"spec.models[0] (modelfile of alpha).parameters.{name}"

    assert refused == ([] if name in HONOURED[engine] else [path])


@pytest.mark.parametrize("engine", EngineName)
@pytest.mark.parametrize("field", ["system", "template"])
def test_modelfile_text_is_honoured_by_ollama_only(engine: EngineName, field: str) -> None:
    path = f"spec.models[0] (modelfile of alpha).{field}"

    assert refusals(engine, {field: "x"}) == ([] if engine is EngineName.OLLAMA else [path])


def refusals(engine: EngineName, modelfile: Json) -> list[str]:
    model = ready_model("alpha", DIGEST)
    whole = model.model_dump(by_alias=True, exclude_none=True)
    whole["spec"]["modelfile"] = modelfile
    facts = fresh(engine, known=(LocalModel.model_validate(whole),))
    return [refusal.path for refusal in plan_pool(facts, SETTINGS).refused]


REFUSED: list[tuple[EngineName, dict[str, Json], str]] = [
    (EngineName.OLLAMA, {"serving": {"kvCacheType": "fp8"}}, "spec.serving.kvCacheType"),
    (EngineName.LLAMA_CPP, {"serving": {"kvCacheType": "fp8"}}, "spec.serving.kvCacheType"),
    (EngineName.VLLM, {"serving": {"kvCacheType": "q8_0"}}, "spec.serving.kvCacheType"),
    (EngineName.VLLM, {"serving": {"batchSize": 16, "parallel": 64}}, "spec.serving.batchSize"),
    (EngineName.LLAMA_CPP, {"serving": {"gpuLayers": 3}}, "spec.serving.gpuLayers"),
    (EngineName.VLLM, {"hardware": {"gpus": 0}}, "spec.hardware.gpus"),
    (EngineName.VLLM, {"hardware": {"gpus": 3}, "serving": {"tensorParallel": 2}},
     "spec.serving.tensorParallel"),
    (EngineName.LLAMA_CPP, {"hardware": {"resourceName": "amd.com/gpu"}},
     "spec.hardware.resourceName"),
    (EngineName.LLAMA_CPP, {"models": [{"name": "alpha", "preload": False}]},
     "spec.models[0].preload"),
    (EngineName.VLLM, {"models": [{"name": "alpha", "preload": False}]}, "spec.models[0].preload"),
    (EngineName.VLLM, {"models": [{"name": "alpha"}, {"name": "beta"}]}, "spec.models"),
    (EngineName.LLAMA_CPP, {"models": [{"name": "alpha", "as": "a:b"}, {"name": "beta"}]},
     "spec.models[0].as"),
    (EngineName.LLAMA_CPP, {"models": [{"name": "alpha", "as": "beta"}, {"name": "beta"}]},
     "spec.models[1]"),
    (EngineName.OLLAMA, {"models": [{"name": "alpha", "as": "Beta:latest"}, {"name": "beta"}]},
     "spec.models[1]"),
]  # fmt: skip


@pytest.mark.parametrize(("engine", "spec", "path"), REFUSED)
def test_what_an_engine_cannot_do_is_refused_by_its_path(
    engine: EngineName, spec: dict[str, Json], path: str
) -> None:
    models = (ready_model("alpha", DIGEST), ready_model("beta", OTHER_DIGEST))
    one = fresh(engine, known=models[:1] if "models" not in spec else models, **spec)
    plan = plan_pool(one, SETTINGS)

    assert [refusal.path for refusal in plan.refused] == [path]
    assert all(refusal.message.endswith(".") for refusal in plan.refused)


@pytest.mark.parametrize(
    ("engine", "accepted"),
    [(EngineName.OLLAMA, False), (EngineName.LLAMA_CPP, False), (EngineName.VLLM, True)],
)
def test_only_vllm_takes_safetensors(engine: EngineName, accepted: bool) -> None:  # noqa: FBT001 - a table's column
    model = ready_model("alpha", DIGEST, format="safetensors")

    assert (plan_pool(fresh(engine, known=(model,)), SETTINGS).refused == ()) is accepted


def test_name_that_ollama_cannot_hold_needs_another() -> None:
    long = ready_model("x" * 81, DIGEST)
    renamed: Json = [{"name": "x" * 81, "as": "short"}]

    refused = plan_pool(fresh(EngineName.OLLAMA, known=(long,)), SETTINGS).refused
    assert [refusal.path for refusal in refused] == ["spec.models[0]"]
    facts = fresh(EngineName.OLLAMA, known=(long,), models=renamed)
    assert plan_pool(facts, SETTINGS).refused == ()


def split_model() -> LocalModel:
    files: Json = [
        {"name": f"big-0000{part}-of-00002.gguf", "digest": f"sha256:{digit * 64}", "bytes": 9}
        for part, digit in ((2, "e"), (1, "d"))
    ]
    return ready_model("alpha", DIGEST, files=files)


def test_split_model_is_opened_by_its_first_name_beside_its_siblings() -> None:
    run = PROFILES[EngineName.LLAMA_CPP].run(
        pool_of(EngineName.LLAMA_CPP, "alpha"), (pooled(split_model()),)
    )

    assert "/store/models/alpha/big-00001-of-00002.gguf" in run.args


@pytest.mark.parametrize("engine", [EngineName.OLLAMA, EngineName.VLLM])
def test_split_model_is_refused_where_the_engine_reads_one_file(engine: EngineName) -> None:
    plan = plan_pool(fresh(engine, known=(split_model(),)), SETTINGS)

    assert [refusal.path for refusal in plan.refused] == ["spec.models[0]"]


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        ({}, "8192"),
        ({"serving": {"contextLength": 1024, "parallel": 2}}, "2048"),
        ({"serving": {"contextLength": 1024}, "models": [{"name": "alpha", "contextLength": 256}]},
         "256"),
    ],
)  # fmt: skip
def test_nearest_declared_context_counts_and_the_default_is_bounded(
    spec: dict[str, Json], size: str
) -> None:
    model = ready_model("alpha", DIGEST, contextLength=131_072)
    effective = plan_pool(fresh(EngineName.LLAMA_CPP, known=(model,), **spec), SETTINGS).effective
    assert effective is not None

    assert effective.args[effective.args.index("--ctx-size") + 1] == size


@pytest.mark.parametrize(
    ("family", "arguments", "told"),
    [
        ("gemma", [], ("--chat-template", "gemma", "--no-jinja")),
        ("chatml", [], ()),
        (None, [], ()),
        ("gemma", ["--jinja"], ()),
    ],
)
def test_llama_cpp_is_told_the_family_of_weights_without_a_template(
    family: str | None, arguments: list[Json], told: tuple[str, ...]
) -> None:
    pool = pool_of(EngineName.LLAMA_CPP, "alpha", engine={"args": arguments})
    args = PROFILES[EngineName.LLAMA_CPP].run(pool, (pooled(weights_of(family)),)).args

    assert tuple(each for each in args if each in ("--chat-template", family, "--no-jinja")) == told


def weights_of(family: str | None) -> LocalModel:
    return ready_model("alpha", DIGEST, chatTemplate=family)

"""What users may set of an engine's environment and arguments, attacked from every side."""

import pytest

from paddock.api.inferencepool import EngineName
from paddock.plan.engines.overrides import refuse_overrides
from paddock.plan.engines.registry import PROFILES
from paddock.plan.pool import plan_pool
from paddock.wire import Json
from support.pools import SETTINGS, fresh
from support.stores import pool_of

LOADS_CODE = ("LD_PRELOAD", "LD_LIBRARY_PATH", "GGML_BACKEND_PATH", "PYTHONPATH", "PYTHONSTARTUP",
              "CUDA_INJECTION64_PATH", "NCCL_NET_PLUGIN", "VLLM_PLUGINS", "PATH")  # fmt: skip
TAKES_WHAT_IS_OTHERS = ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES")
SHOWS_PROMPTS = ("OLLAMA_DEBUG", "LLAMA_LOG_VERBOSITY", "LLAMA_ARG_LOG_PROMPTS_DIR",
                 "VLLM_LOGGING_CONFIG_PATH", "VLLM_DEBUG_LOG_API_SERVER_RESPONSE")  # fmt: skip
UNDOES_OURS = ("OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_NOPRUNE", "HOME", "HF_HUB_OFFLINE",
               "LLAMA_ARG_MODEL", "LLAMA_API_KEY", "VLLM_API_KEY", "OLLAMA_ORIGINS")  # fmt: skip
EVERY = [*LOADS_CODE, *TAKES_WHAT_IS_OTHERS, *SHOWS_PROMPTS, *UNDOES_OURS]


@pytest.mark.parametrize("engine", EngineName)
@pytest.mark.parametrize("name", EVERY)
def test_variable_that_gives_power_is_refused_in_every_engine(
    engine: EngineName, name: str
) -> None:
    own: Json = {"env": [{"name": name, "value": "1"}]}
    pool = pool_of(engine, "alpha", engine=own)
    (refusal,) = refuse_overrides(pool, PROFILES[engine])

    assert refusal.path == f"spec.engine.env[{name}]"


@pytest.mark.parametrize("engine", EngineName)
def test_no_profile_lets_users_set_what_it_sets_itself(engine: EngineName) -> None:
    facts = fresh(engine)
    profile = PROFILES[engine]
    plan = plan_pool(facts, SETTINGS)
    run = profile.run(facts.pool, plan.models)

    assert not profile.variables & set(run.env)
    assert not profile.flags & set(run.args)


ARGUMENTS: list[tuple[EngineName, list[str], list[int]]] = [
    (EngineName.LLAMA_CPP, ["--jinja"], []),
    (EngineName.LLAMA_CPP, ["--ubatch-size", "256", "--jinja"], []),
    (EngineName.LLAMA_CPP, ["--model", "/etc/passwd"], [0]),
    (EngineName.LLAMA_CPP, ["--api-key", "x", "--tools", "all"], [0, 2]),
    (EngineName.LLAMA_CPP, ["-m", "/store/x"], [0]),
    (EngineName.LLAMA_CPP, ["--ubatch-size=256"], [0]),
    (EngineName.LLAMA_CPP, ["/store/other"], [0]),
    (EngineName.LLAMA_CPP, ["--jinja", "a", "b"], [2]),
    (EngineName.LLAMA_CPP, ["--ubatch-size", "--host"], [1]),
    (EngineName.LLAMA_CPP, ["--slot-save-path", "/store"], [0]),
    (EngineName.LLAMA_CPP, ["--lora", "/store/x"], [0]),
    (EngineName.LLAMA_CPP, ["--chat-template-file", "/proc/self/environ"], [0]),
    (EngineName.OLLAMA, ["--verbose"], [0]),
    (EngineName.OLLAMA, ["pull", "evil"], [0, 1]),
    (EngineName.VLLM, ["--dtype=float16"], []),
    (EngineName.VLLM, ["--dtype", "float16"], []),
    (EngineName.VLLM, ["--runner", "pooling", "--convert=embed"], []),
    (EngineName.VLLM, ["--trust-remote-code"], [0]),
    (EngineName.VLLM, ["--config=/store/x.yaml"], [0]),
    (EngineName.VLLM, ["--dtype=half", "stray"], [1]),
    (EngineName.VLLM, ["--allowed-local-media-path", "/"], [0]),
    (EngineName.VLLM, ["--model", "another/model"], [0]),
]


@pytest.mark.parametrize(("engine", "arguments", "refused"), ARGUMENTS)
def test_argument_is_allowed_by_its_flag_or_refused_by_its_place(
    engine: EngineName, arguments: list[str], refused: list[int]
) -> None:
    own: Json = {"args": list(arguments)}
    pool = pool_of(engine, "alpha", engine=own)
    paths = [refusal.path for refusal in refuse_overrides(pool, PROFILES[engine])]

    assert paths == [f"spec.engine.args[{index}]" for index in refused]


def test_allowed_override_reaches_the_container() -> None:
    own: Json = {
        "args": ["--ubatch-size", "256"],
        "env": [{"name": "CUDA_VISIBLE_DEVICES", "value": "0"}],
    }
    plan = plan_pool(fresh(EngineName.LLAMA_CPP, engine=own), SETTINGS)
    (text,) = (str(each) for each in plan.wanted if each["kind"] == "Deployment")

    assert plan.refused == ()
    assert "'--ubatch-size', '256'" in text
    assert "{'name': 'CUDA_VISIBLE_DEVICES', 'value': '0'}" in text

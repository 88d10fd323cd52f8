"""Which requests ask an engine to close their connection: streams of those that do so unsaid."""

import json

import pytest

from paddock.api.inferencepool import EngineName
from paddock.plan.gateway.reading import CONNECTION
from paddock.plan.gateway.rendering import Surroundings, render
from support.gateways import ALPHA
from support.stores import pool_of, renamed


@pytest.mark.parametrize(
    "engines",
    [
        [EngineName.LLAMA_CPP],
        [EngineName.OLLAMA],
        [EngineName.VLLM],
        [EngineName.VLLM, EngineName.LLAMA_CPP],
    ],
)
def test_only_llama_server_is_asked_to_say_that_it_closes(
    engines: list[EngineName],
) -> None:
    pools = [renamed(pool_of(engine, "alpha"), engine.value.lower()) for engine in engines]
    table = render("team", pools, {"alpha": ALPHA}, Surroundings()).routes

    assert (CONNECTION in json.dumps(table)) == (EngineName.LLAMA_CPP in engines)

"""Which connections to engines take more than one request: those that do not end without a word."""

import pytest

from paddock.api.inferencepool import EngineName
from paddock.plan.gateway.clusters import pool_cluster
from paddock.raw import at
from support.stores import pool_of

_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@pytest.mark.parametrize(
    ("engine", "most"),
    [(EngineName.LLAMA_CPP, 1), (EngineName.OLLAMA, None), (EngineName.VLLM, None)],
)
def test_llama_server_gets_a_connection_for_each_request(
    engine: EngineName, most: int | None
) -> None:
    options = at(
        pool_cluster(pool_of(engine, "alpha"), "cluster.local"),
        "typed_extension_protocol_options", _OPTIONS, "common_http_protocol_options",
    )  # fmt: skip
    assert options is not None
    assert options.get("max_requests_per_connection") == most

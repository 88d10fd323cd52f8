"""What a pool says of the namespace's gateway: who may ask, how much, and which replica answers.

Pure declarations. Fields whose machinery is not built yet are absent, not ignored.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from paddock.api.auth import Auth
from paddock.api.base import Record, SomeTime
from paddock.api.exposure import Expose, InferenceExtension, Tls


class Balancing(StrEnum):
    """Which of a pool's replicas takes a request."""

    LEAST_REQUEST = "LeastRequest"
    PREFIX_AFFINITY = "PrefixAffinity"


class Limits(Record):
    """How much one request, and all of them together, may ask of the pool through the gateway."""

    body_bytes: Annotated[
        int | None,
        Field(
            ge=1024, le=16_777_216, description="Largest body of a request (default 16 MiB); 413."
        ),
    ] = None
    request_time: Annotated[
        SomeTime | None,
        Field(
            description="Longest time until the end of the answer (default 1h); 504. "
            "A replica that ends waits as long for its last answer, "
            "or 10m where nothing is declared."
        ),
    ] = None
    idle_time: Annotated[
        SomeTime | None,
        Field(description="Longest time in which nothing is sent (default 10m); 504."),
    ] = None
    in_flight: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="Requests at a time, running or waiting in the engines; 503.",
        ),
    ] = None
    queue: Annotated[
        int | None,
        Field(
            ge=0,
            le=100_000,
            description="Requests that may wait beside those that the replicas serve at once; 503.",
        ),
    ] = None
    requests_per_minute: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="For each model and key, or address where no key is needed; 429.",
        ),
    ] = None
    tokens_per_minute: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000_000,
            description="Of prompts and answers, for each model and caller as above; 429.",
        ),
    ] = None


class Gateway(Record):
    """How the namespace's gateway treats the pool's models."""

    balancing: Annotated[
        Balancing | None,
        Field(
            description="LeastRequest (default): the replica with the fewest requests. "
            "PrefixAffinity: the one that has the conversation in its cache, unless it is busier "
            "than the others."
        ),
    ] = None
    replicas: Annotated[
        int | None,
        Field(
            ge=1,
            le=32,
            description="Envoys of the namespace's gateway; the pool that asks for most decides "
            "(default 1).",
        ),
    ] = None
    tls: Tls | None = None
    expose: Expose | None = None
    inference_extension: InferenceExtension | None = None
    auth: Auth | None = None
    limits: Limits | None = None
    weight: Annotated[
        int | None,
        Field(
            ge=0, le=1000, description="Share of a model that several pools serve (default 100)."
        ),
    ] = None
    priority: Annotated[
        int | None,
        Field(
            ge=0,
            le=100,
            description="Pools of a higher number are asked when those of lower ones have no pod "
            "that is well (default 0).",
        ),
    ] = None

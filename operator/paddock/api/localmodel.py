"""LocalModel: weights in a volume of this namespace, resolved to a digest, verified.

Pure declarations. Parsed once at the border; the CRD in `crds/` is generated from here.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from paddock.api.base import (
    UNSEEN,
    Condition,
    Diagnosis,
    Digest,
    DnsSubdomain,
    LabelValue,
    ObjectMeta,
    Quantity,
    Record,
    Toleration,
)

Number = Annotated[float, Field(ge=0, le=1000)]


class Credentials(Record):
    """Where the pull Job finds the source's credentials."""

    secret_name: Annotated[
        DnsSubdomain,
        Field(description="Secret of this namespace, mounted into the pull Job only."),
    ]


class Storage(Record):
    """The claim that holds the weights: an existing one by name, or one made from a size."""

    claim_name: Annotated[
        DnsSubdomain | None,
        Field(description="An existing claim; may be shared by many models. Never deleted by us."),
    ] = None
    size: Annotated[Quantity | None, Field(description="Size of the claim to make.")] = None
    storage_class_name: Annotated[
        DnsSubdomain | None, Field(description="Class of the claim to make.")
    ] = None
    access_modes: Annotated[
        tuple[Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"], ...] | None,
        Field(min_length=1, max_length=3, description="Access modes of the claim to make."),
    ] = None
    retain: Annotated[
        Literal["Retain", "Delete"] | None,
        Field(
            description="What deleting the model does to its bytes: Retain (default) keeps them; "
            "Delete removes the claim we made, or frees the blobs no other model of the claim uses."
        ),
    ] = None


class ModelfileParameters(Record):
    """Sampling and context defaults, by their Ollama meaning."""

    temperature: Number | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=100_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(ge=0, le=100)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    num_ctx: Annotated[int, Field(ge=128, le=16_777_216)] | None = None
    num_predict: Annotated[int, Field(ge=1, le=16_777_216)] | None = None
    stop: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...] | None,
        Field(max_length=32),
    ] = None


class Modelfile(Record):
    """The engine-neutral Modelfile. A field an engine cannot honour makes its pool say so."""

    system: Annotated[str, StringConstraints(max_length=16_384)] | None = None
    template: Annotated[str, StringConstraints(max_length=32_768)] | None = None
    parameters: ModelfileParameters | None = None


class PullResources(Record):
    """Requests and limits of the pull container."""

    cpu: Quantity | None = None
    memory: Quantity | None = None


class Pull(Record):
    """How the pull Job runs."""

    parallelism: Annotated[
        int | None, Field(ge=1, le=64, description="Connections to the source at once.")
    ] = None
    resources: PullResources | None = None
    node_selector: Annotated[dict[str, LabelValue] | None, Field(max_length=32)] = None
    tolerations: Annotated[tuple[Toleration, ...] | None, Field(max_length=32)] = None
    deadline_seconds: Annotated[
        int | None,
        Field(ge=60, le=2_592_000, description="The pull fails after this many seconds."),
    ] = None


class LocalModelSpec(Record):
    """What the user wants in the volume."""

    source: Annotated[
        str,
        StringConstraints(
            pattern=r"^(hf|ollama|https?|s3|gs|oci|pvc)://[!-~]+$", min_length=6, max_length=2048
        ),
        Field(
            description="hf://ORG/REPO[/FILE][@REVISION], ollama://[REGISTRY/]NAME[:TAG], "
            "https://..., s3://BUCKET/KEY, gs://BUCKET/KEY, oci://REGISTRY/NAME[:TAG|@DIGEST] or "
            "pvc://CLAIM/PATH."
        ),
    ]
    quantization: Annotated[
        str | None,
        StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]{0,31}$", max_length=32),
        Field(
            description="Picks the file of a GGUF repository, such as Q4_K_M; Auto is the largest "
            "that fits the pools that use it."
        ),
    ] = None
    digest: Annotated[
        Digest | None,
        Field(description="Pin. Without it the first pull's digest is recorded and then locked."),
    ] = None
    update_policy: Annotated[
        Literal["Pinned", "Track"] | None,
        Field(
            description="Pinned (default) only shows upstream drift in UpToDate; Track pulls it."
        ),
    ] = None
    credentials: Credentials | None = None
    storage: Storage | None = None
    modelfile: Modelfile | None = None
    pull: Pull | None = None


class ArtifactFile(Record):
    """One file of the model in the store."""

    name: str
    digest: str
    bytes: int


class Artifact(Record):
    """What was pulled and verified."""

    digest: str
    format: str | None = None
    architecture: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    cache_values_per_token: Annotated[
        int | None, Field(description="Numbers that one token keeps in the context's cache.")
    ] = None
    chat_template: Annotated[
        str | None,
        Field(
            description="Family of chat templates that engines are told, by the vocabulary of a "
            "GGUF file that brings no template."
        ),
    ] = None
    bytes: int
    revision: str | None = None
    files: tuple[ArtifactFile, ...] = ()


class Progress(Record):
    """A pull under way, as the pull Job tells it."""

    bytes: int
    total_bytes: int | None = None
    percent: int | None = None
    bytes_per_second: int | None = None
    eta_seconds: int | None = None


class ModelEffective(Record):
    """The defaults in force."""

    quantization: str | None = None
    update_policy: str
    retain: str
    size: str | None = None
    access_modes: tuple[str, ...] | None = None
    parallelism: int
    deadline_seconds: int


class LocalModelStatus(Record):
    """What is true of the model."""

    observed_generation: Annotated[int, Field(ge=UNSEEN)] | None = None
    conditions: Annotated[
        tuple[Condition, ...], Field(json_schema_extra={"x-kubernetes-list-map-keys": ["type"]})
    ] = ()
    artifact: Artifact | None = None
    source: Annotated[str | None, Field(description="The source the artifact came from.")] = None
    progress: Progress | None = None
    claim_name: str | None = None
    used_by: tuple[str, ...] = ()
    diagnosis: tuple[Diagnosis, ...] = ()
    effective: ModelEffective | None = None


class LocalModel(Record):
    """The whole object."""

    metadata: ObjectMeta
    spec: LocalModelSpec
    status: LocalModelStatus = LocalModelStatus()

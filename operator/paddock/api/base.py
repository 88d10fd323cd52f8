"""What both kinds are made of: the base record, the small field types, the condition.

Pure. Spec fields never carry a default in the schema: defaults are in `plan.effective`, so that a
GitOps tool never sees a difference.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel


class Record(BaseModel):
    """A frozen value with camelCase keys; unknown keys are ignored, the apiserver prunes them."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore"
    )


DnsLabel = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63, min_length=1)
]
DnsSubdomain = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        max_length=253,
        min_length=1,
    ),
]
ServedName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-zA-Z0-9]([-._a-zA-Z0-9]{0,78}[a-zA-Z0-9])?(:[a-zA-Z0-9]([-._a-zA-Z0-9]{0,78})?)?$",
        max_length=161,
    ),
]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
Quantity = (
    Annotated[int, Field(ge=0)]
    | Annotated[
        str,
        StringConstraints(
            pattern=r"^[0-9]{1,18}(\.[0-9]{1,9})?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?$", max_length=32
        ),
    ]
)
ResourceName = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?"
        r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        max_length=317,
        min_length=1,
    ),
]
ExtendedResource = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/"
        r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        max_length=317,
        min_length=1,
    ),
]
LabelValue = Annotated[
    str,
    StringConstraints(pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", max_length=63),
]


Duration = Annotated[
    str, StringConstraints(pattern=r"^([0-9]{1,5}(s|m|h)){1,3}$", max_length=18, min_length=2)
]
SomeTime = Annotated[
    str,
    StringConstraints(
        pattern=r"^[1-9][0-9]{0,4}(s|m|h)([0-9]{1,5}(s|m|h)){0,2}$", max_length=18, min_length=2
    ),
]
"""A duration that is not zero."""
_DURATION_PART = re.compile(r"([0-9]+)(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(duration: str) -> int:
    """Return the seconds of a duration such as 90s, 5m or 1h30m."""
    return sum(int(count) * _SECONDS[unit] for count, unit in _DURATION_PART.findall(duration))


class Toleration(Record):
    """A core/v1 Toleration."""

    key: ResourceName | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None


UNSEEN = -1
"""The observed generation of an object that no operator has looked at: the CRDs' default, by which
tools that follow kstatus wait, where they believe an object without a status to be well."""


class Condition(Record):
    """A metav1.Condition; every field is required, as Kubernetes requires it."""

    type: Annotated[str, StringConstraints(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, StringConstraints(max_length=1024, min_length=1)]
    message: Annotated[str, StringConstraints(max_length=32768)]
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    observed_generation: Annotated[int, Field(ge=0)]


class Diagnosis(Record):
    """One cause a user can act on: which object, what is wrong in plain words, what to do."""

    object: Annotated[str, StringConstraints(max_length=512)]
    reason: Annotated[str, StringConstraints(max_length=64)]
    cause: Annotated[str, StringConstraints(max_length=2048)]
    fix: Annotated[str, StringConstraints(max_length=2048)]


class ObjectMeta(Record):
    """The part of metadata the product reads."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    creation_timestamp: str | None = None
    annotations: Mapping[str, str] = Field(default_factory=dict)

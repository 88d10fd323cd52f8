"""How models are reached other than by plain HTTP inside the cluster. Pure."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from paddock.api.base import DnsLabel, DnsSubdomain, LabelValue, Record


class Tls(Record):
    """The certificate of the namespace's gateway."""

    secret_name: Annotated[
        DnsSubdomain,
        Field(
            description="A Secret of this namespace, of type kubernetes.io/tls; the kubelet brings "
            "it to Envoy, which takes each new one while it runs."
        ),
    ]


class Way(StrEnum):
    """What brings requests from outside the cluster to the gateway."""

    INGRESS = "Ingress"
    HTTP_ROUTE = "HTTPRoute"


class Expose(Record):
    """A way to the namespace's gateway from outside the cluster."""

    by: Annotated[
        Way,
        Field(
            description="Ingress, or an HTTPRoute of the Gateway that the administrator has set up."
        ),
    ]
    host: Annotated[DnsSubdomain, Field(description="The name by which callers ask.")]
    ingress_class_name: Annotated[
        DnsSubdomain | None,
        Field(description="Of an Ingress; without it the cluster's default class takes it."),
    ] = None


class FailureMode(StrEnum):
    """What an inference gateway does while its endpoint picker does not answer."""

    FAIL_CLOSE = "FailClose"
    FAIL_OPEN = "FailOpen"


class EndpointPicker(Record):
    """The inference extension's own program that picks a pod for each request."""

    name: Annotated[DnsLabel, Field(description="Its Service, of this namespace.")]
    port: Annotated[int, Field(ge=1, le=65_535, description="The port of that Service.")]
    failure_mode: Annotated[
        FailureMode | None,
        Field(
            description="While it does not answer: FailClose (default) refuses requests, FailOpen "
            "lets the inference gateway pick any pod."
        ),
    ] = None
    pod_labels: Annotated[
        dict[str, LabelValue] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Labels of its pods: the pool's NetworkPolicy lets these ask the engines.",
        ),
    ] = None


class InferenceExtension(Record):
    """The pool as an InferencePool of the Gateway API Inference Extension."""

    endpoint_picker: EndpointPicker

"""How a namespace's gateway is reached other than by plain HTTP inside the cluster. Pure."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from paddock.api.base import DnsSubdomain, Record


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

"""How a namespace's gateway is reached other than by plain HTTP inside the cluster. Pure."""

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

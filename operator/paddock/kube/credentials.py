"""Who we are to the apiserver: read from a kubeconfig or the pod's own account, as often as asked.

The one place that knows the `kubernetes` client's configuration; the watch layer gets the same
identity from here.
"""

from dataclasses import dataclass, field
from pathlib import Path

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException


@dataclass(frozen=True, slots=True)
class Credentials:
    """One user of one apiserver; files rather than contents, as both clients take them."""

    server: str
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    token: str | None = field(default=None, repr=False)
    verifies: bool = True


async def load_credentials(configuration: Configuration, kubeconfig: str | None) -> None:
    """Read the credentials into a configuration: the kubeconfig's, or the pod's own."""
    if kubeconfig is not None:
        await load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        return
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException:
        await load_kube_config(client_configuration=configuration)


async def authorization_of(configuration: Configuration) -> dict[str, str]:
    """Return the header that carries the bearer token, if there is one."""
    bearer = (await configuration.auth_settings()).get("BearerToken")
    return {} if bearer is None else {str(bearer["key"]): str(bearer["value"])}


async def credentials_of(configuration: Configuration) -> Credentials:
    """Return a configuration's credentials."""
    header = next(iter((await authorization_of(configuration)).values()), None)
    return Credentials(
        server=str(configuration.host),
        ca_file=_file(configuration.ssl_ca_cert),
        certificate_file=_file(configuration.cert_file),
        key_file=_file(configuration.key_file),
        token=header.partition(" ")[2] if header else None,
        verifies=bool(configuration.verify_ssl),
    )


def _file(value: object) -> str | None:
    return str(Path(str(value))) if value else None

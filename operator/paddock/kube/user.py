"""A person's own access: a context of their kubeconfig, with exec plugins, as kubectl reads it.

I/O. Without any kubeconfig it is the pod's own account, so that the command works in a pod too.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_incluster_config
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, load_kube_config

from paddock.errors import PaddockError
from paddock.kube.real import RealCluster

_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT_NAMESPACE = "default"


class AccessError(PaddockError):
    """The kubeconfig cannot be used; the message says why."""

    retry = False


@dataclass(frozen=True, slots=True)
class UserCluster:
    """One apiserver as one person, and the namespace their context names."""

    cluster: RealCluster
    namespace: str
    configuration: Configuration = field(repr=False)


async def connect_user(kubeconfig: str | None, context: str | None) -> UserCluster:
    """Return the cluster of a kubeconfig's context, or raise AccessError."""
    configuration = Configuration()
    namespace = await _load(configuration, kubeconfig, context)
    client = ApiClient(configuration)
    return UserCluster(RealCluster(client), namespace, configuration)


async def _load(configuration: Configuration, kubeconfig: str | None, context: str | None) -> str:
    try:
        if kubeconfig is None and context is None and not _has_kubeconfig():
            return _load_account(configuration)
        loader = await load_kube_config(
            config_file=kubeconfig,
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, OSError) as error:
        raise AccessError(f"The kubeconfig cannot be used: {error}") from error
    chosen = loader.current_context
    settings = chosen.get("context") if isinstance(chosen, Mapping) else None
    named = settings.get("namespace") if isinstance(settings, Mapping) else None
    return named if isinstance(named, str) and named else _DEFAULT_NAMESPACE


def _has_kubeconfig() -> bool:
    places = KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep)
    return any(Path(place).expanduser().exists() for place in places if place)


def _load_account(configuration: Configuration) -> str:
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise AccessError(
            "There is no kubeconfig: set KUBECONFIG or --kubeconfig; `paddock up` tells its own."
        ) from error
    try:
        return _ACCOUNT_NAMESPACE.read_text().strip()
    except OSError:
        return _DEFAULT_NAMESPACE

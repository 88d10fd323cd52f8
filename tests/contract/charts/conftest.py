"""A control plane without our kinds: the charts bring them."""

import secrets
from collections.abc import Iterator

import pytest

from paddock.local.control_plane import ControlPlane
from paddock.local.progress import Lines
from support.chart_site import Site
from support.status_watch import followed


@pytest.fixture(scope="session")
def bare_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = ControlPlane(tmp_path_factory.mktemp("charts"), report=Lines())
    try:
        plane.start()
        with followed(plane):
            yield plane
    finally:
        plane.stop()


@pytest.fixture
def site(bare_plane: ControlPlane) -> Iterator[Site]:
    """Give a namespace; afterwards the cluster has none of our kinds and roles."""
    site = Site(bare_plane, f"t-{secrets.token_hex(4)}")
    site.kubectl("create", "namespace", site.namespace)
    site.kubectl(
        "label", "namespace", site.namespace, "pod-security.kubernetes.io/enforce=restricted"
    )
    yield site
    for release in site.helm("list", "-q").split():
        site.helm("uninstall", release)
    site.kubectl("delete", "namespace", site.namespace, "--wait=false")
    roles = ("paddock-view", "paddock-edit", "paddock-admin")
    site.kubectl("delete", "clusterrole", *roles, "--ignore-not-found")
    site.kubectl("delete", "crd", "--all", "--timeout=60s")

"""The embedded control plane: real admission and rights, an honest witness, faults on demand."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from paddock.local.api_client import ApiClient, ApiError
from paddock.local.control_plane import ControlPlane
from paddock.local.processes import recorded_pid
from paddock.wire import Manifest

pytestmark = pytest.mark.contract

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = ControlPlane(tmp_path_factory.mktemp("plane"))
    try:
        plane.start()
        plane.wait_until_pods_are_admitted()
        yield plane
    finally:
        plane.stop()


def config_map(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def client_of(plane: ControlPlane, user: str, *groups: str) -> ApiClient:
    plane.user_kubeconfig(user, groups=groups)
    return ApiClient(plane.server, plane.folder / "pki", user)


def test_audit_tells_who_wrote_what(plane: ControlPlane) -> None:
    client_of(plane, "jane", "system:masters").request("POST", MAPS, config_map("witnessed"))
    written = [record for record in plane.audit() if record.name == "witnessed"]
    assert [
        (each.user, each.verb, each.resource, each.namespace, each.code) for each in written
    ] == [("jane", "create", "configmaps", "default", 201)]


def test_user_without_rights_is_refused_and_seen(plane: ControlPlane) -> None:
    with pytest.raises(ApiError) as refused:
        client_of(plane, "mallory").request("GET", MAPS)
    assert refused.value.code == HTTPStatus.FORBIDDEN
    assert [each.code for each in plane.audit() if each.user == "mallory"] == [403]


def test_killed_apiserver_comes_back_with_its_data_at_its_address(plane: ControlPlane) -> None:
    server, client = plane.server, plane.client()
    client.request("POST", MAPS, config_map("kept"))
    plane.kill_apiserver()
    assert not client.answers("/readyz")
    plane.start_apiserver()
    assert plane.server == server
    assert client.answers(f"{MAPS}/kept")


def test_pod_security_refuses_a_privileged_pod(plane: ControlPlane) -> None:
    client = plane.client()
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    space: Manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "strict", "labels": label},
    }
    client.request("POST", "/api/v1/namespaces", space)
    container: Manifest = {"name": "main", "image": "none", "securityContext": {"privileged": True}}
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bold"},
        "spec": {"containers": [container]},
    }
    plane.wait_until_pods_are_admitted("strict")
    with pytest.raises(ApiError, match="PodSecurity"):
        client.request("POST", "/api/v1/namespaces/strict/pods", pod)


def test_service_account_tokens_are_issued_and_their_keys_published(plane: ControlPlane) -> None:
    asked: Manifest = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["paddock"], "expirationSeconds": 600},
    }
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    answer = plane.client().request("POST", path, asked)
    assert "token" in str(answer["status"])
    assert "keys" in plane.client().request("GET", "/openid/v1/jwks")


def test_two_control_planes_do_not_share_anything(plane: ControlPlane, tmp_path: Path) -> None:
    other = ControlPlane(tmp_path / "other")
    try:
        other.start(controllers=False)
        other.client().request("POST", "/api/v1/namespaces", _namespace("elsewhere"))
        assert not plane.client().answers("/api/v1/namespaces/elsewhere")
        with pytest.raises(OSError, match="certificate"):
            ApiClient(other.server, plane.folder / "pki", "admin").request("GET", "/api")
    finally:
        other.stop()
    assert recorded_pid("kube-apiserver", other.folder) is None
    assert recorded_pid("etcd", other.folder) is None


def _namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}

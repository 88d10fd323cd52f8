"""Files of the cluster's programs: written once, bounded, and read back whole."""

import json
from pathlib import Path

from paddock.local import node_config
from paddock.local.addresses import addresses_of
from paddock.local.control_plane import AuditRecord, ControlPlane, audit_record
from paddock.local.dns import build_corefile
from paddock.local.metrics import metrics_manifests
from paddock.local.storage_keeper import bound_logs


def test_grown_log_is_moved_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    with (folder / "kubelet.log").open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        bound_logs(tmp_path, limit=200)
        assert not (folder / "kubelet.log.1").exists()
        writer.write(b"y" * 150)
        bound_logs(tmp_path, limit=200)
        writer.write(b"after")
    assert (folder / "kubelet.log.1").read_bytes() == b"x" * 100 + b"y" * 150
    assert (folder / "kubelet.log").read_bytes() == b"after"


def test_audit_log_is_left_to_the_apiserver(tmp_path: Path) -> None:
    (tmp_path / "control-plane").mkdir()
    audit = tmp_path / "control-plane" / "audit.log"
    audit.write_text("z" * 300)
    bound_logs(tmp_path, limit=200)
    assert audit.read_text() == "z" * 300


def test_audit_line_is_read_with_and_without_an_object() -> None:
    event = {
        "user": {"username": "jane"},
        "verb": "patch",
        "objectRef": {
            "apiGroup": "paddock.dev",
            "resource": "localmodels",
            "subresource": "status",
            "namespace": "team",
            "name": "tiny",
        },
        "responseStatus": {"code": 200},
        "userAgent": "paddock",
    }
    assert audit_record(json.dumps(event)) == AuditRecord(
        "jane", "patch", "paddock.dev", "localmodels", "status", "team", "tiny", 200, "paddock"
    )
    bare = {"user": {"username": "jane"}, "verb": "get"}
    assert audit_record(json.dumps(bare)) == AuditRecord("jane", "get", "", "", "", "", "", 0, "")
    nobody = {**bare, "user": {}}
    assert audit_record(json.dumps(nobody)).user == ""


def test_audit_skips_a_line_that_is_being_written(tmp_path: Path) -> None:
    line = json.dumps({"user": {"username": "jane"}, "verb": "get"})
    (tmp_path / "audit.log").write_text(f"{line}\n{line[:20]}")
    assert len(list(ControlPlane(tmp_path).audit())) == 1


def test_node_files_are_written_once_as_kube_proxy_ends_when_its_own_changes(
    tmp_path: Path,
) -> None:
    plane = ControlPlane(tmp_path / "plane", addresses=addresses_of(2))
    plane.authority.create()
    folder = tmp_path / "node"
    folder.mkdir()
    binaries = {"runc": Path("/bin-of/runc")}
    node_config.write(folder, "node", plane, binaries, Path("/plugins"))
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    node_config.write(folder, "node", plane, binaries, Path("/plugins"))
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert json.loads((folder / "kubelet.json").read_text())["clusterDNS"] == ["10.87.2.1"]
    assert (folder / "kernel/kernel/panic").read_text() == "10\n"


def test_names_are_served_at_the_host_end_of_the_cable() -> None:
    corefile = build_corefile("10.87.2.1", Path("/state/coredns.kubeconfig"))
    assert "bind 10.87.2.1" in corefile
    assert "kubeconfig /state/coredns.kubeconfig paddock" in corefile


def test_metrics_lead_to_the_node() -> None:
    slices = [
        each
        for each in metrics_manifests(addresses_of(2), b"authority")
        if each["kind"] == "EndpointSlice"
    ]
    assert [each["endpoints"] for each in slices] == [[{"addresses": ["10.87.2.2"]}]]

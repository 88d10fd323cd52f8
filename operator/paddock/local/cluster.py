"""The whole embedded cluster: up, found again, down without a trace."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from paddock.local import builds
from paddock.local.control_plane import ControlPlane
from paddock.local.folders import state_folder
from paddock.local.network import HOST_ADDRESS
from paddock.local.node import Node
from paddock.local.problems import LocalError
from paddock.local.processes import recorded_pid, run, start_daemon, stop_daemon
from paddock.local.progress import Progress, Quiet
from paddock.local.storage import make_folders, storage_manifests
from paddock.wire import Manifest


class EmbeddedCluster:
    """One cluster of one node on this machine, by name."""

    def __init__(self, name: str, report: Progress | None = None) -> None:
        self.name = name
        self.folder = state_folder(name)
        self._report = report or Quiet()
        self.plane = ControlPlane(
            self.folder / "control-plane", address=HOST_ADDRESS, report=self._report
        )
        self.node = Node(self.folder / "node", name, self.plane, self._report)

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.plane.kubeconfig

    def up(self) -> None:
        """Start what does not run; a running cluster is left as it is."""
        check_machine()
        self.node.network.up()
        self.plane.start()
        self.node.start()
        volumes = self.folder / "volumes"
        if not volumes.exists():
            make_folders(volumes)
            self.apply(storage_manifests(volumes, self.name))

    @property
    def is_running(self) -> bool:
        """Return whether the node of this cluster runs."""
        return recorded_pid("anchor", self.folder / "node") is not None

    def ensure_daemon(self, name: str, arguments: Sequence[str]) -> None:
        """Start a helper program of the cluster unless it runs; it ends with the cluster."""
        if recorded_pid(name, self.folder / "helpers") is None:
            start_daemon(name, arguments, self.folder / "helpers")

    def down(self) -> None:
        """End the cluster and remove all it left on the machine; its data goes too."""
        for record in (self.folder / "helpers").glob("*.pid"):
            stop_daemon(record.stem, self.folder / "helpers")
        self.node.stop()
        self.plane.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """Apply manifests as the administrator."""
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=paddock-up", "-f", "-",
            stdin=body,
        )  # fmt: skip

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator and return its output."""
        kubectl = builds.ensure(["kubectl"], self._report)["kubectl"] / "kubectl"
        return run([kubectl, "--kubeconfig", self.kubeconfig, *arguments], stdin=stdin)


def check_machine() -> None:
    """Refuse a machine that cannot hold the cluster, before anything is made."""
    if sys.platform != "linux":
        raise LocalError("The embedded cluster needs Linux; name a context of another cluster.")
    if os.geteuid() != 0:
        raise LocalError("The embedded cluster makes network namespaces: run it as root (sudo).")
    for tool in ("ip", "nsenter", "unshare", "mount"):
        if shutil.which(tool) is None:
            raise LocalError(f"The embedded cluster needs the program {tool}; install it.")
    probe = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    if probe.returncode != 0:
        raise LocalError("This machine does not let root make namespaces (a nested container?).")

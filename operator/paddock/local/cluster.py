"""The whole embedded cluster: up, found again, down without a trace."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from paddock.local.addresses import Addresses, addresses_of, choose_index
from paddock.local.control_plane import ControlPlane
from paddock.local.dns import Dns, dns_manifests
from paddock.local.egress import Egress
from paddock.local.folders import clusters_folder, locked, state_folder
from paddock.local.kubectl import Kubectl
from paddock.local.metrics import metrics_manifests
from paddock.local.network import Network, host_routes
from paddock.local.node import Node
from paddock.local.problems import LocalError
from paddock.local.processes import (
    kill_strays,
    recorded_pid,
    start_daemon,
    stop_daemon,
)
from paddock.local.progress import Progress, Quiet
from paddock.local.storage import USER, storage_manifests

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


class EmbeddedCluster(Kubectl):
    """One cluster of one node on this machine, by name."""

    def __init__(self, name: str, report: Progress | None = None) -> None:
        if not _NAME.fullmatch(name):
            raise LocalError(
                f"{name!r} cannot name a cluster: use up to 40 small letters, digits and dashes."
            )
        self.name = name
        self.folder = state_folder(name)
        super().__init__(("--kubeconfig", self.kubeconfig), report or Quiet(), own=False)
        self._helpers = self.folder / "helpers"

    @cached_property
    def addresses(self) -> Addresses:
        """Return the cluster's addresses; choosing them makes the cluster's folder."""
        return addresses_of(self._index)

    @cached_property
    def plane(self) -> ControlPlane:
        """Return the control plane."""
        folder = self.folder / "control-plane"
        return ControlPlane(folder, addresses=self.addresses, report=self._report)

    @cached_property
    def network(self) -> Network:
        """Return the network of the node."""
        return Network(self.name, self._index, self.addresses)

    @cached_property
    def node(self) -> Node:
        """Return the node."""
        return Node(self.folder / "node", self.plane, self.network, self._report)

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.folder / "control-plane" / "admin.kubeconfig"

    def up(self) -> None:
        """Start what does not run; a running cluster is left as it is."""
        check_machine()
        with locked(f"cluster-{self.name}"):
            with locked("network"):
                self.network.up()
                self._egress.up()
            self.plane.start()
            self._dns.start()
            self._apply_once()
            self._start_storage()
            self.node.start()
            self.node.start_metrics()
            self.plane.wait_until_pods_are_admitted()

    @property
    def is_running(self) -> bool:
        """Return whether the node of this cluster runs."""
        return recorded_pid("anchor", self.folder / "node") is not None

    def ensure_daemon(self, name: str, arguments: Sequence[str]) -> None:
        """Start a helper program of the cluster unless it runs; it ends with the cluster."""
        if recorded_pid(name, self._helpers) is None:
            start_daemon(name, arguments, self._helpers)

    def down(self) -> None:
        """End the cluster and remove all it left on the machine; its data goes too."""
        with locked(f"cluster-{self.name}"):
            if not self.folder.exists():
                return
            for record in self._helpers.glob("*.pid"):
                stop_daemon(record.stem, self._helpers)
            self._dns.stop()
            self.node.stop()
            self.plane.stop()
            kill_strays(self.folder)
            with locked("network"):
                others = [each / "forwarding" for each in _others(self.name)]
                self._egress.down(others)
                shutil.rmtree(self.folder)

    @cached_property
    def _index(self) -> int:
        record = self.folder / "index"
        if not record.exists():
            with locked("addresses"):
                taken = [int((each / "index").read_text()) for each in _others(self.name)]
                index = choose_index(host_routes(), taken)
                self.folder.mkdir(parents=True, exist_ok=True)
                part = record.with_suffix(".part")
                part.write_text(str(index))
                part.rename(record)
        return int(record.read_text())

    @property
    def _dns(self) -> Dns:
        return Dns(self.folder / "dns", self.plane, self._report)

    @property
    def _egress(self) -> Egress:
        return Egress(self.network.cable, self.addresses, self.folder / "forwarding")

    def _apply_once(self) -> None:
        done = self.folder / "applied"
        if not done.exists():
            authority = self.plane.authority.certificate.read_bytes()
            self.apply(
                [
                    *dns_manifests(),
                    *storage_manifests(),
                    *metrics_manifests(self.addresses, authority),
                ]
            )
            done.touch()

    def _start_storage(self) -> None:
        pki = self.plane.authority
        if not (pki.folder / f"{USER}.crt").exists():
            pki.issue(USER, USER)
        self.ensure_daemon(
            "storage",
            [sys.executable, "-m", "paddock.local.storage_keeper", str(self.folder),
             self.plane.server],
        )  # fmt: skip


def _others(name: str) -> list[Path]:
    """Return the folders of the other clusters of this machine."""
    folders = clusters_folder()
    found = folders.iterdir() if folders.exists() else ()
    return [each for each in found if each.name != name and (each / "index").exists()]


def check_machine() -> None:
    """Refuse a machine that cannot hold the cluster, before anything is made."""
    if sys.platform != "linux":
        raise LocalError("The embedded cluster needs Linux; name a context of another cluster.")
    if os.geteuid() != 0:
        raise LocalError("The embedded cluster makes network namespaces: run it as root (sudo).")
    for tool in ("apt-get", "dpkg-deb", "nsenter", "unshare", "mount", "tar"):
        if shutil.which(tool) is None:
            raise LocalError(f"The embedded cluster needs the program {tool}; install it.")
    probe = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    if probe.returncode != 0:
        raise LocalError("This machine does not let root make namespaces (a nested container?).")

"""One real node: containerd, kubelet, kube-proxy, metrics-server in namespaces of their own.

The anchor process holds the mount and process namespaces; ending it ends every program and
container of the node, and the kernel then drops its mounts.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

from paddock.local import builds, host_tools, metrics, node_config
from paddock.local.api_client import ApiError
from paddock.local.control_groups import (
    control_group,
    make_control_groups,
    remove_control_groups,
)
from paddock.local.control_plane import ControlPlane
from paddock.local.images.pause import PAUSE_IMAGE, pause_archive
from paddock.local.network import Network
from paddock.local.problems import LocalError
from paddock.local.processes import (
    last_words,
    recorded_pid,
    run,
    start_daemon,
    start_time,
    stop_daemon,
)
from paddock.local.progress import Progress, Quiet
from paddock.wire import Json, Manifest

COMPONENTS = ("containerd", "runc", "kubelet", "kube-proxy")
_DAEMONS = ("containerd", "kubelet", "kube-proxy", metrics.NAME)
_HIDDEN = ("/run", "/var/lib", "/var/log")
"""Folders that the node's programs write to by their own habit; theirs end with the node."""
_READY_SECONDS = 120
_POLL = 0.1


class Node:
    """The one node of an embedded cluster."""

    def __init__(
        self, folder: Path, plane: ControlPlane, network: Network, report: Progress | None = None
    ) -> None:
        self.folder = folder
        self.name = network.cluster
        self.plane = plane
        self.network = network
        self._report = report or Quiet()

    def start(self) -> None:
        """Start what is not running and wait until the node is Ready."""
        binaries = builds.ensure(COMPONENTS, self._report)
        self._start_anchor()
        plugins = host_tools.network_plugins()
        node_config.write(self.folder, self.name, self.plane, binaries, plugins)
        make_control_groups(control_group(self.name))
        self._start_containerd(binaries)
        self._start(
            "kubelet",
            [binaries["kubelet"] / "kubelet", f"--config={self.folder / 'kubelet.json'}",
             f"--kubeconfig={self.folder / 'kubelet.kubeconfig'}",
             f"--hostname-override={self.name}", f"--node-ip={self.plane.addresses.node}",
             f"--root-dir={self.folder / 'kubelet'}", "--v=1"],
        )  # fmt: skip
        self._start(
            "kube-proxy",
            [binaries["kube-proxy"] / "kube-proxy", f"--config={self.folder / 'proxy.json'}",
             f"--hostname-override={self.name}"],
        )  # fmt: skip
        self._wait_for(self._is_ready, "kubelet")
        self._report.step("node", "ready")

    def start_metrics(self) -> None:
        """Start metrics-server, which nothing else of the cluster waits for."""
        binary = builds.ensure([metrics.NAME], self._report)[metrics.NAME] / metrics.NAME
        authority, kubeconfig = self.plane.authority, self.folder / f"{metrics.NAME}.kubeconfig"
        if not kubeconfig.exists():
            authority.kubeconfig(kubeconfig, self.plane.server, metrics.USER)
            authority.issue(metrics.NAME, metrics.USER, hosts=[metrics.HOST])
        arguments = metrics.metrics_arguments(self.folder, authority.folder, self.plane.addresses)
        self._start(metrics.NAME, [binary, *arguments])

    def stop(self) -> None:
        """End everything of the node and remove what it left on the machine."""
        anchor = self._anchor_child()
        started = start_time(anchor) if anchor else None
        stop_daemon("anchor", self.folder, first=signal.SIGKILL)
        deadline = time.monotonic() + _READY_SECONDS
        while anchor and started and start_time(anchor) == started:  # it goes last of its namespace
            if time.monotonic() > deadline:
                raise LocalError(f"The node's processes do not end (namespace of {anchor}).")
            time.sleep(_POLL)
        for name in _DAEMONS:
            stop_daemon(name, self.folder, first=signal.SIGKILL)
        self.network.down()
        remove_control_groups(control_group(self.name))

    def load_image(self, archive: Path) -> None:
        """Import an OCI archive into the node's containerd."""
        self._ctr("images", "import", "--local", str(archive))

    def has_image(self, name: str) -> bool:
        """Return whether containerd knows an image by this name."""
        return name in self._ctr("images", "list", "-q").split()

    def set_gpus(self, count: int, resource: str = "nvidia.com/gpu") -> None:
        """Let the node say it has GPUs: a simulation for tests of scheduling."""
        amount: Json = {resource: str(count)}
        self._patch("/status", {"status": {"capacity": amount, "allocatable": amount}})

    def set_labels(self, labels: Mapping[str, str | None]) -> None:
        """Set labels of the node; None removes one."""
        self._patch("", {"metadata": {"labels": labels}})

    def _patch(self, subresource: str, body: Manifest) -> None:
        path = f"/api/v1/nodes/{self.name}{subresource}"
        self.plane.client().request("PATCH", path, body, "application/merge-patch+json")

    def _ctr(self, *arguments: str) -> str:
        ctr = builds.ensure(["containerd"], self._report)["containerd"] / "ctr"
        socket = self.folder / "run" / "containerd.sock"
        return run([*self._enter(), ctr, "-a", socket, "-n", "k8s.io", *arguments])

    def _start_anchor(self) -> None:
        if self._anchor_child() is not None:
            return
        stop_daemon("anchor", self.folder, first=signal.SIGKILL)
        shutil.rmtree(self.folder / "run", ignore_errors=True)  # sockets of a node that ended
        start_daemon(
            "anchor",
            ["nsenter", f"--net=/run/netns/{self.network.namespace}", "unshare", "--mount", "--pid",
             "--fork", "--kill-child", "--mount-proc", sys.executable, "-m",
             "paddock.local.anchor"],
            self.folder,
        )  # fmt: skip
        self._wait_for(lambda: self._anchor_child() is not None, "anchor")

    def _lay_out(self) -> None:
        """Hide what the node may not see or change of the machine; done when containerd starts."""
        run([*self._enter(), "mount", "--make-rshared", "/"])
        for place in _HIDDEN:
            if not self.folder.is_relative_to(place):
                run([*self._enter(), "mount", "-t", "tmpfs", "tmpfs", place])
        for setting in node_config.KERNEL_SETTINGS:
            shield = node_config.shield_of(self.folder, setting)
            run([*self._enter(), "mount", "--bind", shield, f"/proc/sys/{setting}"])

    def _start_containerd(self, binaries: Mapping[str, Path]) -> None:
        if recorded_pid("containerd", self.folder) is not None:
            return
        self._lay_out()
        program = binaries["containerd"] / "containerd"
        self._start(
            "containerd",
            [program, "--config", self.folder / "containerd.toml"],
            path=[binaries["containerd"], binaries["runc"]],
        )
        self._wait_for((self.folder / "run" / "containerd.sock").exists, "containerd")
        if not self.has_image(PAUSE_IMAGE):
            self.load_image(pause_archive())

    def _anchor_child(self) -> int | None:
        """Return the anchor itself: the child that `unshare --fork` made."""
        pid = recorded_pid("anchor", self.folder)
        children = Path(f"/proc/{pid}/task/{pid}/children")
        try:
            found = children.read_text().split()
            return int(found[0]) if found and _is_anchor(found[0]) else None
        except FileNotFoundError:
            return None

    def _enter(self) -> list[str]:
        pid = self._anchor_child()
        if pid is None:
            raise LocalError(f"the node does not run: {last_words('anchor', self.folder)}")
        return ["nsenter", "-t", str(pid), "-m", "-n", "-p"]

    def _start(
        self, name: str, arguments: Sequence[str | Path], *, path: Sequence[Path] = ()
    ) -> None:
        if recorded_pid(name, self.folder) is not None:
            return
        self._report.step(name, "starting")
        search = ":".join([*map(str, (*path, *host_tools.node_path())), os.environ["PATH"]])
        environment = {**host_tools.node_env(), "PATH": search}
        start_daemon(name, [*self._enter(), *arguments], self.folder, env=environment)

    def _is_ready(self) -> bool:
        try:
            node = self.plane.client().request("GET", f"/api/v1/nodes/{self.name}")
        except (ApiError, OSError, HTTPException):
            return False
        return _says_ready(node)

    def _wait_for(self, condition: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not condition():
            if recorded_pid(name, self.folder) is None or time.monotonic() > deadline:
                raise LocalError(f"{name} did not become ready: {last_words(name, self.folder)}")
            time.sleep(_POLL)


def _says_ready(node: Manifest) -> bool:
    status = node.get("status")
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    return isinstance(conditions, list) and any(
        each.get("type") == "Ready" and each.get("status") == "True" for each in conditions
    )


def _is_anchor(pid: str) -> bool:
    """Tell the anchor from `unshare`, which becomes it."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(sys.executable.encode())

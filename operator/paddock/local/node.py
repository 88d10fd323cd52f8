"""One real node: containerd, kubelet, kube-proxy, CoreDNS in namespaces of their own.

The anchor process holds the mount and process namespaces; ending it ends every program and
container of the node, and the kernel then drops its mounts.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from paddock.local import builds, node_config
from paddock.local.control_plane import ControlPlane
from paddock.local.network import NODE_ADDRESS, Network
from paddock.local.problems import LocalError
from paddock.local.processes import (
    last_words,
    recorded_pid,
    run,
    start_daemon,
    stop_daemon,
)
from paddock.local.progress import Progress, Quiet

COMPONENTS = ("containerd", "runc", "kubelet", "kube-proxy", "coredns")
_CGROUPS = Path("/sys/fs/cgroup")
_HIDDEN = ("/run", "/var/lib", "/var/log")
"""Folders that the node's programs write to by their own habit; theirs end with the node."""
_READY_SECONDS = 120
_POLL = 0.2


class Node:
    """The one node of an embedded cluster."""

    def __init__(
        self, folder: Path, name: str, plane: ControlPlane, report: Progress | None = None
    ) -> None:
        self.folder = folder
        self.name = name
        self.plane = plane
        self.network = Network(name)
        self._report = report or Quiet()

    def start(self) -> None:
        """Start what is not running and wait until the node is Ready."""
        binaries = builds.ensure(COMPONENTS, self._report)
        tools = node_config.host_tools()
        self._start_anchor()
        node_config.write(self.folder, self.name, self.plane, binaries)
        run_folder = self.folder / "run"
        self._start(
            "containerd",
            [binaries["containerd"] / "containerd", "--config", self.folder / "containerd.toml"],
            path=[binaries["containerd"], binaries["runc"], *tools.path],
            env=tools.env,
        )
        self._wait_for((run_folder / "containerd.sock").exists, "containerd")
        self._import_pause()
        self._start(
            "kubelet",
            [binaries["kubelet"] / "kubelet", f"--config={self.folder / 'kubelet.json'}",
             f"--kubeconfig={self.folder / 'kubelet.kubeconfig'}",
             f"--hostname-override={self.name}", f"--node-ip={NODE_ADDRESS}",
             f"--root-dir={self.folder / 'kubelet'}", "--v=2"],
            path=tools.path,
            env=tools.env,
        )  # fmt: skip
        self._start(
            "kube-proxy",
            [binaries["kube-proxy"] / "kube-proxy", f"--config={self.folder / 'proxy.json'}",
             f"--hostname-override={self.name}"],
            path=tools.path,
            env=tools.env,
        )  # fmt: skip
        self._start(
            "coredns",
            [binaries["coredns"] / "coredns", "-conf", self.folder / "Corefile"],
            path=[],
            env={},
        )
        self._wait_for(self._ready, "kubelet")
        self._report.step("node", "ready")

    def stop(self) -> None:
        """End everything of the node and remove what it left on the machine."""
        stop_daemon("anchor", self.folder, first=9)
        for name in ("containerd", "kubelet", "kube-proxy", "coredns"):
            stop_daemon(name, self.folder, first=9)
        self.network.down()
        self._remove_cgroups()

    def load_image(self, archive: Path) -> None:
        """Import an OCI archive into the node's containerd."""
        self._ctr("images", "import", "--local", str(archive))

    def has_image(self, name: str) -> bool:
        """Return whether containerd knows an image by this name."""
        return name in self._ctr("images", "list", "-q").split()

    def set_gpus(self, count: int, resource: str = "nvidia.com/gpu") -> None:
        """Let the node say it has GPUs: a simulation for tests of scheduling."""
        patch = {"status": {"capacity": {resource: str(count)}}}
        self._kubectl(
            "patch", "node", self.name, "--subresource=status", "--type=merge",
            "-p", json.dumps(patch),
        )  # fmt: skip

    def _ctr(self, *arguments: str) -> str:
        ctr = builds.ensure(["containerd"], self._report)["containerd"] / "ctr"
        socket = self.folder / "run" / "containerd.sock"
        return run([*self._enter(), ctr, "-a", socket, "-n", "k8s.io", *arguments])

    def _kubectl(self, *arguments: str) -> str:
        kubectl = builds.ensure(["kubectl"], self._report)["kubectl"] / "kubectl"
        return run([kubectl, "--kubeconfig", self.plane.kubeconfig, *arguments])

    def _start_anchor(self) -> None:
        if recorded_pid("anchor", self.folder) is not None:
            return
        self.network.up()
        shutil.rmtree(self.folder / "run", ignore_errors=True)  # sockets of a node that ended
        start_daemon(
            "anchor",
            ["nsenter", f"--net=/run/netns/{self.network.namespace}", "unshare", "--mount", "--pid",
             "--fork", "--kill-child", "--mount-proc", sys.executable, "-m",
             "paddock.local.anchor"],
            self.folder,
        )  # fmt: skip
        self._wait_for(lambda: self._anchor_child() is not None, "anchor")
        run([*self._enter(), "mount", "--make-rshared", "/"])
        for place in _HIDDEN:
            if not self.folder.is_relative_to(place):
                run([*self._enter(), "mount", "-t", "tmpfs", "tmpfs", place])

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
        self,
        name: str,
        arguments: Sequence[str | Path],
        *,
        path: Sequence[Path],
        env: Mapping[str, str],
    ) -> None:
        if recorded_pid(name, self.folder) is not None:
            return
        self._report.step(name, "starting")
        search = ":".join([*map(str, path), os.environ["PATH"]])
        start_daemon(name, [*self._enter(), *arguments], self.folder, env={**env, "PATH": search})

    def _import_pause(self) -> None:
        if not self.has_image(node_config.PAUSE_IMAGE):
            self.load_image(node_config.pause_archive())

    def _ready(self) -> bool:
        kubectl = builds.ensure(["kubectl"], self._report)["kubectl"] / "kubectl"
        done = subprocess.run(
            [kubectl, "--kubeconfig", self.plane.kubeconfig, "get", "node", self.name, "-o",
             "jsonpath={.status.conditions[?(@.type=='Ready')].status}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout == "True"

    def _wait_for(self, condition: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not condition():
            if recorded_pid(name, self.folder) is None or time.monotonic() > deadline:
                raise LocalError(f"{name} did not become ready: {last_words(name, self.folder)}")
            time.sleep(_POLL)

    def _remove_cgroups(self) -> None:
        """Remove the empty control groups the kubelet made under ours."""
        for root in _CGROUPS.rglob(node_config.cgroup_name(self.name)):
            for folder in sorted(root.rglob("*"), reverse=True):
                if folder.is_dir():
                    folder.rmdir()
            root.rmdir()

    def remove_data(self) -> None:
        """Delete the node's folder, once it has stopped."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_anchor(pid: str) -> bool:
    """Tell the anchor from `unshare`, which becomes it."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(sys.executable.encode())

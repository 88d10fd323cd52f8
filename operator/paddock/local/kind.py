"""A cluster of kind, where Docker or Podman runs.

Written from kind's manual and not yet run: the machines Paddock is developed on have neither.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from paddock.local import builds
from paddock.local.folders import state_folder
from paddock.local.processes import run
from paddock.local.progress import Progress, Quiet
from paddock.wire import Manifest


class KindCluster:
    """One cluster of kind, by name; the same verbs as the embedded one."""

    def __init__(self, name: str, engine: str, report: Progress | None = None) -> None:
        self.name = name
        self.folder = state_folder(f"kind-{name}")
        self._engine = engine
        self._report = report or Quiet()

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.folder / "admin.kubeconfig"

    def up(self) -> None:
        """Create the cluster, unless kind has one of this name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.name in self._kind("get", "clusters").split():
            self._kind("export", "kubeconfig", *self._target())
            return
        self._report.step("kind", "creating a cluster")
        self._kind("create", "cluster", *self._target(), "--wait", "180s")

    def down(self) -> None:
        """Delete the cluster and what we kept of it."""
        self._kind("delete", "cluster", *self._target())
        shutil.rmtree(self.folder, ignore_errors=True)

    def load_image(self, archive: Path) -> None:
        """Give an image archive to the cluster's node."""
        self._kind("load", "image-archive", str(archive), "--name", self.name)

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """Apply manifests as the administrator."""
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=paddock-up", "-f", "-",
            stdin=body,
        )  # fmt: skip

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl, the machine's own or ours, as the administrator and return its output."""
        own = shutil.which("kubectl")
        program = own or builds.ensure(["kubectl"], self._report)["kubectl"] / "kubectl"
        return run([program, "--kubeconfig", self.kubeconfig, *arguments], stdin=stdin)

    def _target(self) -> tuple[str, ...]:
        return ("--name", self.name, "--kubeconfig", str(self.kubeconfig))

    def _kind(self, *arguments: str) -> str:
        return run(["kind", *arguments], env=kind_environment(self._engine, os.environ))


def kind_environment(engine: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return what tells kind which engine to use; a user's own choice stays."""
    name = "KIND_EXPERIMENTAL_PROVIDER"
    return {name: environment.get(name, engine)}

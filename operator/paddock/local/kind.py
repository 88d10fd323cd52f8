"""A cluster of kind, where Docker or Podman runs.

Written from kind's manual and not yet run: the machines Paddock is developed on have neither.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from paddock.local.folders import state_folder
from paddock.local.kubectl import Kubectl
from paddock.local.processes import run
from paddock.local.progress import Progress, Quiet


class KindCluster(Kubectl):
    """One cluster of kind, by name; the same verbs as the embedded one."""

    def __init__(self, name: str, engine: str, report: Progress | None = None) -> None:
        self.name = name
        self.folder = state_folder(f"kind-{name}")
        self._engine = engine
        super().__init__(("--kubeconfig", self.kubeconfig), report or Quiet(), own=True)

    @staticmethod
    def exists(name: str) -> bool:
        """Return whether `up` made a cluster of kind of this name."""
        return state_folder(f"kind-{name}").exists()

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

    def build_image(self, clone: Path, image: str) -> None:
        """Build the operator's image with the container engine and give it to the node."""
        self._report.step("images", f"building {image} with {self._engine}")
        file = clone / "images/operator/Dockerfile"
        run([self._engine, "build", "-q", "-f", file, "-t", image, clone])
        self._kind("load", "docker-image", image, "--name", self.name)

    def _target(self) -> tuple[str, ...]:
        return ("--name", self.name, "--kubeconfig", str(self.kubeconfig))

    def _kind(self, *arguments: str) -> str:
        return run(["kind", *arguments], env=kind_environment(self._engine, os.environ))


def kind_environment(engine: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return what tells kind which engine to use; a user's own choice stays."""
    name = "KIND_EXPERIMENTAL_PROVIDER"
    return {name: environment.get(name, engine)}

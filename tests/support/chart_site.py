"""Helm against a real apiserver: one namespace, and what a test asks of it."""

from dataclasses import dataclass

from paddock.local.control_plane import ControlPlane
from support.charts import CHARTS, helm, setting
from support.plane import administrator, kubectl


@dataclass(frozen=True, slots=True)
class Site:
    """A control plane, and one namespace of it that enforces Pod Security restricted."""

    plane: ControlPlane
    namespace: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return kubectl(self.plane, *arguments, stdin=stdin)

    def helm(self, *arguments: str) -> str:
        """Run Helm in the namespace, as the administrator."""
        return helm(*arguments, "--namespace", self.namespace, kubeconfig=self.plane.kubeconfig)

    def install(self, release: str, chart: str, **values: object) -> str:
        return self.helm(
            "upgrade", "--install", release, str(CHARTS / chart), *setting(values_of(values))
        )

    def wait_for_kinds(self) -> None:
        """Wait until our kinds are served."""
        plurals = "localmodels", "inferencepools"
        administrator(self.plane).await_crds(*(f"crd/{plural}.paddock.dev" for plural in plurals))

    def names(self, kinds: str) -> set[str]:
        """Return the names of the namespace's objects of these kinds."""
        found = self.kubectl("-n", self.namespace, "get", kinds, "-o", "name", "--ignore-not-found")
        return set(found.split())


def values_of(values: dict[str, object]) -> dict[str, object]:
    """Write a__b for the value a.b."""
    return {name.replace("__", "."): value for name, value in values.items()}

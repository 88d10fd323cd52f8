"""kubectl as the administrator of a control plane."""

from paddock.local.control_plane import ControlPlane
from paddock.local.kubectl import Kubectl
from paddock.local.progress import Lines


def administrator(plane: ControlPlane) -> Kubectl:
    return Kubectl(("--kubeconfig", plane.kubeconfig), Lines(), own=False)


def kubectl(plane: ControlPlane, *arguments: str, stdin: str | None = None) -> str:
    return administrator(plane).kubectl(*arguments, stdin=stdin)

"""kubectl as the administrator of a control plane."""

from paddock.local import builds
from paddock.local.control_plane import ControlPlane
from paddock.local.processes import run
from paddock.local.progress import Lines


def kubectl(plane: ControlPlane, *arguments: str, stdin: str | None = None) -> str:
    binary = builds.ensure(["kubectl"], Lines())["kubectl"] / "kubectl"
    return run([binary, "--kubeconfig", plane.kubeconfig, *arguments], stdin=stdin)

"""CoreDNS: names of Services and pods, and the world's through the machine's own resolvers.

Runs on the host, because a resolver on the loopback (systemd-resolved, a VPN's) can be asked only
from there. Pods reach it at the host's end of the cable.
"""

import signal
from collections.abc import Sequence
from pathlib import Path

from paddock.local import builds
from paddock.local.control_plane import ControlPlane
from paddock.local.manifests import rights
from paddock.local.processes import recorded_pid, start_daemon, stop_daemon
from paddock.local.progress import Progress
from paddock.wire import Manifest

_USER = "paddock-local-dns"
_READ = ["list", "watch"]


class Dns:
    """The name server of one cluster."""

    def __init__(self, folder: Path, plane: ControlPlane, report: Progress) -> None:
        self._folder = folder
        self._plane = plane
        self._report = report

    def start(self) -> None:
        """Start it unless it runs."""
        if recorded_pid("coredns", self._folder) is not None:
            return
        binary = builds.ensure(["coredns"], self._report)["coredns"] / "coredns"
        self._folder.mkdir(parents=True, exist_ok=True)
        kubeconfig = self._folder / "coredns.kubeconfig"
        if not kubeconfig.exists():
            self._plane.authority.kubeconfig(kubeconfig, self._plane.server, _USER)
        corefile = self._folder / "Corefile"
        corefile.write_text(build_corefile(self._plane.addresses.host, kubeconfig))
        start_daemon("coredns", [binary, "-conf", corefile], self._folder)

    def stop(self) -> None:
        """End it."""
        stop_daemon("coredns", self._folder, first=signal.SIGKILL)


def build_corefile(address: str, kubeconfig: Path) -> str:
    """Return CoreDNS's configuration."""
    return f""".:53 {{
  bind {address}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig} paddock
  }}
  forward . /etc/resolv.conf
  cache 5
}}
"""


def dns_manifests() -> Sequence[Manifest]:
    """Return what CoreDNS may read."""
    rules = [
        {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": _READ},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
    ]
    return rights(_USER, rules)

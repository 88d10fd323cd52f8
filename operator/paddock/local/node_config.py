"""The configuration files of the node's programs; facts and traps are in decision 0001.

Writes files and nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paddock.local import debian
from paddock.local.control_plane import POD_RANGE, ControlPlane
from paddock.local.images.pause import PAUSE_IMAGE, pause_archive
from paddock.local.network import NODE_ADDRESS
from paddock.wire import Json

__all__ = ["PAUSE_IMAGE", "HostTools", "cgroup_name", "host_tools", "pause_archive", "write"]

_CGROUPS = Path("/sys/fs/cgroup")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


@dataclass(frozen=True, slots=True)
class HostTools:
    """Programs of Debian packages that the node calls, unpacked in the cache."""

    path: tuple[Path, ...]
    env: Mapping[str, str]


def cgroup_name(cluster: str) -> str:
    """Name the control group all pods of a cluster live in."""
    return f"paddock-{cluster}"


def host_tools() -> HostTools:
    """Return iptables and conntrack with their libraries."""
    root = debian.unpacked(
        "iptables",
        ["iptables", "libxtables12", "libmnl0", "libnftnl11", "libip4tc2", "libip6tc2",
         "libnfnetlink0", "libnetfilter-conntrack3", "conntrack"],
    )  # fmt: skip
    links = root / "usr/local/sbin"
    for family in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            _link(links / f"{family}{suffix}", root / "usr/sbin/xtables-nft-multi")
    libraries = root / _LIBRARIES
    return HostTools(
        path=(links, root / "usr/sbin"),
        env={"LD_LIBRARY_PATH": str(libraries), "XTABLES_LIBDIR": str(libraries / "xtables")},
    )


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(target)


def write(folder: Path, name: str, plane: ControlPlane, binaries: Mapping[str, Path]) -> None:
    """Write every configuration file of the node."""
    _issue_identities(folder, name, plane)
    cni = debian.unpacked("cni", ["containernetworking-plugins"]) / "usr/lib/cni"
    _write_cni(folder)
    (folder / "containerd.toml").write_text(_containerd(folder, cni, binaries["runc"] / "runc"))
    _write_json(folder / "kubelet.json", _kubelet(folder, name, plane))
    _write_json(folder / "proxy.json", _proxy(folder))
    (folder / "resolv.conf").write_text(_upstream())
    (folder / "Corefile").write_text(_corefile(folder))
    _make_cgroups(cgroup_name(name))


def _write_json(file: Path, content: Mapping[str, Json]) -> None:
    file.write_text(json.dumps(content, indent=1))


def _issue_identities(folder: Path, name: str, plane: ControlPlane) -> None:
    if (folder / "kubelet.kubeconfig").exists():
        return
    for file, user, groups in (
        ("kubelet", f"system:node:{name}", ("system:nodes",)),
        ("kube-proxy", "system:kube-proxy", ()),
        ("coredns", "paddock-local-dns", ("system:masters",)),
    ):
        plane.authority.kubeconfig(folder / f"{file}.kubeconfig", plane.server, user, groups=groups)
    plane.authority.issue("kubelet-server", f"system:node:{name}", hosts=[NODE_ADDRESS, name])


def _write_cni(folder: Path) -> None:
    bridge: dict[str, Json] = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": POD_RANGE.replace("/16", "/24")}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(folder / "cni-addresses"),
        },
    }
    plugins: list[Json] = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    (folder / "cni").mkdir(exist_ok=True)
    _write_json(
        folder / "cni" / "10-paddock.conflist",
        {"cniVersion": "1.0.0", "name": "paddock", "plugins": plugins},
    )


def _containerd(folder: Path, cni: Path, runc: Path) -> str:
    return f"""version = 3
root = "{folder}/containerd"
state = "{folder}/run/containerd"
[grpc]
  address = "{folder}/run/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{cni}"]
  conf_dir = "{folder}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = "{runc}"
  SystemdCgroup = false
"""


def _kubelet(folder: Path, name: str, plane: ControlPlane) -> dict[str, Json]:
    pki = plane.folder / "pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{folder}/run/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup_name(name)}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "healthzBindAddress": NODE_ADDRESS,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
    }


def _proxy(folder: Path) -> dict[str, Json]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": POD_RANGE,
        "bindAddress": NODE_ADDRESS,
        "healthzBindAddress": f"{NODE_ADDRESS}:10256",
        "metricsBindAddress": f"{NODE_ADDRESS}:10249",
        "clientConnection": {"kubeconfig": str(folder / "kube-proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0},
        "iptables": {"minSyncPeriod": "0s"},
    }


def _corefile(folder: Path) -> str:
    return f""".:53 {{
  bind {NODE_ADDRESS}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {folder}/coredns.kubeconfig paddock
  }}
  forward . {folder}/resolv.conf
  cache 5
}}
"""


def _upstream() -> str:
    """Return the machine's name servers; one on the loopback cannot be reached from the node."""
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    servers = [line for line in lines if line.startswith("nameserver") and " 127." not in line]
    return "\n".join(servers or ["nameserver 9.9.9.9"]) + "\n"


def _make_cgroups(name: str) -> None:
    """Make the pods' group under every version-1 controller, or once under version 2."""
    if (_CGROUPS / "cgroup.controllers").exists():
        (_CGROUPS / name).mkdir(exist_ok=True)
        return
    for controller in _CGROUPS.iterdir():
        if controller.is_dir() and not controller.is_symlink() and controller.name != "unified":
            (controller / name).mkdir(exist_ok=True)
            _inherit_cpuset(controller, controller / name)


def _inherit_cpuset(parent: Path, child: Path) -> None:
    """Give a version-1 cpuset its processors, or nothing may run in it."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if (child / file).exists() and not (child / file).read_text().strip():
            (child / file).write_text((parent / file).read_text())

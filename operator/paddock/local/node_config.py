"""The configuration files of the node's programs; facts and traps are in decision 0011.

Writes files and nothing else.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from paddock.local.control_groups import control_group
from paddock.local.control_plane import ControlPlane
from paddock.local.images.pause import PAUSE_IMAGE
from paddock.wire import Json

KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""Settings of the whole machine that a kubelet changes; the node's are files laid over them."""


def write(
    folder: Path, name: str, plane: ControlPlane, binaries: Mapping[str, Path], plugins: Path
) -> None:
    """Write every configuration file of the node."""
    _issue_identities(folder, name, plane)
    _write_cni(folder, plane.addresses.pods)
    runc = binaries["runc"] / "runc"
    _write(folder / "containerd.toml", _containerd(folder, plugins, runc))
    _write_json(folder / "kubelet.json", _kubelet(folder, name, plane))
    _write_json(folder / "proxy.json", _proxy(folder, plane))
    for setting, value in KERNEL_SETTINGS.items():
        file = shield_of(folder, setting)
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, f"{value}\n")


def shield_of(folder: Path, setting: str) -> Path:
    """Return the file that lies over a kernel setting inside the node."""
    return folder / "kernel" / setting


def _write_json(file: Path, content: Mapping[str, Json]) -> None:
    _write(file, json.dumps(content, indent=1))


def _write(file: Path, text: str) -> None:
    """Write only what differs: kube-proxy ends itself when its file is written again."""
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def _issue_identities(folder: Path, name: str, plane: ControlPlane) -> None:
    if (folder / "kubelet.kubeconfig").exists():
        return
    for file, user, groups in (
        ("kubelet", f"system:node:{name}", ("system:nodes",)),
        ("kube-proxy", "system:kube-proxy", ()),
    ):
        plane.authority.kubeconfig(folder / f"{file}.kubeconfig", plane.server, user, groups=groups)
    plane.authority.issue(
        "kubelet-server", f"system:node:{name}", hosts=[plane.addresses.node, name]
    )


def _write_cni(folder: Path, pods: str) -> None:
    """Give each pod a routed cable: with a bridge, Services would need the module br_netfilter."""
    cable: dict[str, Json] = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(folder / "cni-addresses"),
        },
    }
    plugins: list[Json] = [cable, {"type": "portmap", "capabilities": {"portMappings": True}}]
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
[plugins.'io.containerd.internal.v1.opt']
  path = "{folder}/opt"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
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
        "address": plane.addresses.node,
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
        "cgroupRoot": f"/{control_group(name)}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [plane.addresses.host],
        "clusterDomain": "cluster.local",
        "healthzBindAddress": plane.addresses.node,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
    }


def _proxy(folder: Path, plane: ControlPlane) -> dict[str, Json]:
    node = plane.addresses.node
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": plane.addresses.pods,
        "bindAddress": node,
        "healthzBindAddress": f"{node}:10256",
        "metricsBindAddress": f"{node}:10249",
        "clientConnection": {"kubeconfig": str(folder / "kube-proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0},
        "iptables": {"minSyncPeriod": "0s"},
    }

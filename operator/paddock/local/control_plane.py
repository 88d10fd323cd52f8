"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes of this machine.

Several may run at once: every port is free when chosen and then recorded. Serves the contract tests
alone, and `cluster` together with a node.
"""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paddock.local import builds, debian
from paddock.local.addresses import LOOPBACK, Addresses
from paddock.local.api_client import ApiClient
from paddock.local.pki import Authority
from paddock.local.ports import free_ports
from paddock.local.problems import LocalError
from paddock.local.processes import last_words, recorded_pid, start_daemon, stop_daemon
from paddock.local.progress import Progress, Quiet

COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
_READY_SECONDS = 120
_POLL = 0.1
_FASTER = (
    "--kube-api-qps=100", "--kube-api-burst=200", "--horizontal-pod-autoscaler-sync-period=3s",
)  # fmt: skip
"""Of kube-controller-manager: its 20 requests a second spare an apiserver that many share, and an
autoscaler would look every 15 s."""
_AUDIT_POLICY = (
    '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],'
    '"rules":[{"level":"Metadata"}]}'
)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One request as the apiserver saw it: the independent witness of what was written."""

    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    agent: str


class ControlPlane:
    """One control plane in one folder; nodes and pods reach the apiserver at its host address."""

    def __init__(
        self, folder: Path, *, addresses: Addresses = LOOPBACK, report: Progress | None = None
    ) -> None:
        self.folder = folder
        self.addresses = addresses
        self.authority = Authority(folder / "pki")
        self._proxy_authority = Authority(folder / "front-proxy")
        self._report = report or Quiet()

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.folder / "admin.kubeconfig"

    @property
    def server(self) -> str:
        """Return the apiserver's URL."""
        return f"https://{self.addresses.host}:{self._ports()['api']}"

    def client(self) -> ApiClient:
        """Return a small synchronous client with the administrator's rights."""
        return ApiClient(self.server, self.folder / "pki", "admin")

    def start(self, *, controllers: bool = True) -> None:
        """Start what is not running and wait until the apiserver is ready."""
        names = COMPONENTS if controllers else ("kube-apiserver", "kubectl")
        binaries = builds.ensure(names, self._report)
        self._prepare()
        self._start_etcd()
        self.start_apiserver()
        if controllers:
            self._start_controllers(binaries)
        self._report.step("control plane", f"ready at {self.server}")

    def stop(self) -> None:
        """End every process of the control plane at once; what etcd was told is kept."""
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            stop_daemon(name, self.folder, first=signal.SIGKILL)

    def wait_until_pods_are_admitted(self, namespace: str = "default") -> None:
        """Wait for the controllers' first work: before it, the apiserver refuses every pod."""
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        self._wait("kube-controller-manager", account)

    def start_apiserver(self) -> None:
        """Start the apiserver alone and wait until it is ready."""
        if recorded_pid("kube-apiserver", self.folder) is None:
            binary = builds.ensure(["kube-apiserver"], self._report)["kube-apiserver"]
            start_daemon(
                "kube-apiserver", [binary / "kube-apiserver", *self._apiserver_flags()], self.folder
            )
        self._wait("kube-apiserver", "/readyz")

    def kill_apiserver(self) -> None:
        """SIGKILL the apiserver: the fault, not the good end."""
        stop_daemon("kube-apiserver", self.folder, first=signal.SIGKILL)

    def user_kubeconfig(self, name: str, *, groups: tuple[str, ...] = ()) -> Path:
        """Write a kubeconfig for another user."""
        return self.authority.kubeconfig(
            self.folder / f"{name}.kubeconfig", self.server, name, groups=groups
        )

    def audit(self) -> Iterator[AuditRecord]:
        """Yield every request the apiserver has answered since it first started."""
        for log in sorted(self.folder.glob("audit*.log")):  # "audit-DATE.log" is older
            for line in log.read_text().splitlines(keepends=True):
                if line.endswith("\n"):  # the last one may be half-written
                    yield audit_record(line)

    def _ports(self) -> dict[str, int]:
        record = self.folder / "ports.json"
        if not record.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            names = ("api", "etcd", "etcd_peer", "controllers", "scheduler")
            record.write_text(json.dumps(dict(zip(names, free_ports(len(names)), strict=True))))
        ports: dict[str, int] = json.loads(record.read_text())
        return ports

    def _prepare(self) -> None:
        if self.kubeconfig.exists():
            return
        self.authority.create()
        self.authority.create_account_key()
        self._proxy_authority.create()
        self._proxy_authority.issue("client", "front-proxy-client")
        hosts = [
            "127.0.0.1", "localhost", self.addresses.host, self.addresses.service_api, "kubernetes",
            "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
        ]  # fmt: skip
        self.authority.issue("apiserver", "kube-apiserver", hosts=hosts)
        self.authority.issue("kubelet-client", "kube-apiserver-kubelet", groups=["system:masters"])
        (self.folder / "audit-policy.json").write_text(_AUDIT_POLICY)
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.authority.kubeconfig(
                self.folder / f"{name}.kubeconfig", self.server, f"system:{name}"
            )
        self.authority.kubeconfig(
            self.kubeconfig, self.server, "paddock-admin", groups=["system:masters"]
        )

    def _start_etcd(self) -> None:
        if recorded_pid("etcd", self.folder) is not None:
            return
        etcd = debian.unpacked("etcd", ["etcd-server"]) / "usr/bin/etcd"
        ports = self._ports()
        client, peer = (f"http://127.0.0.1:{ports[name]}" for name in ("etcd", "etcd_peer"))
        start_daemon(
            "etcd",
            [etcd, "--data-dir", self.folder / "etcd", "--listen-client-urls", client,
             "--advertise-client-urls", client, "--listen-peer-urls", peer,
             "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
             "--unsafe-no-fsync", "--logger", "zap", "--log-level", "warn",
             "--quota-backend-bytes", "2147483648"],
            self.folder,
        )  # fmt: skip

    def _apiserver_flags(self) -> list[str]:
        pki, ports = self.folder / "pki", self._ports()
        return [
            f"--etcd-servers=http://127.0.0.1:{ports['etcd']}",
            f"--bind-address={self.addresses.host}",
            f"--advertise-address={self.addresses.host}",
            f"--secure-port={ports['api']}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kubelet-client.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={pki / 'sa.key'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={self.addresses.services}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--anonymous-auth=false",
            "--allow-privileged=true",
            f"--audit-policy-file={self.folder / 'audit-policy.json'}",
            f"--audit-log-path={self.folder / 'audit.log'}",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=1",
            "--profiling=false",
            *self._aggregation_flags(),
        ]

    def _aggregation_flags(self) -> list[str]:
        """Return how the apiserver proves itself to aggregated ones, such as metrics-server."""
        proxy = self.folder / "front-proxy"
        return [
            f"--requestheader-client-ca-file={proxy / 'ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={proxy / 'client.crt'}",
            f"--proxy-client-key-file={proxy / 'client.key'}",
        ]

    def _start_controllers(self, binaries: dict[str, Path]) -> None:
        pki, ports = self.folder / "pki", self._ports()
        common = {
            name: [
                f"--kubeconfig={self.folder / f'{name}.kubeconfig'}",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
            ]
            for name in ("kube-controller-manager", "kube-scheduler")
        }
        flags = {
            "kube-controller-manager": [
                f"--secure-port={ports['controllers']}",
                f"--root-ca-file={pki / 'ca.crt'}",
                f"--service-account-private-key-file={pki / 'sa.key'}",
                "--use-service-account-credentials=true",
                f"--cluster-cidr={self.addresses.pods}",
                "--allocate-node-cidrs=true",
                "--node-cidr-mask-size=24",
                f"--service-cluster-ip-range={self.addresses.services}",
                *_FASTER,
            ],
            "kube-scheduler": [f"--secure-port={ports['scheduler']}"],
        }
        for name, own in flags.items():
            if recorded_pid(name, self.folder) is None:
                start_daemon(name, [binaries[name] / name, *common[name], *own], self.folder)

    def _wait(self, name: str, path: str) -> None:
        client = self.client()
        deadline = time.monotonic() + _READY_SECONDS
        while not client.answers(path):
            if recorded_pid(name, self.folder) is None or time.monotonic() > deadline:
                raise LocalError(f"{name} did not become ready: {last_words(name, self.folder)}")
            time.sleep(_POLL)


def audit_record(line: str) -> AuditRecord:
    """Parse one line of the audit log; who could not show who he is has no name there."""
    event = json.loads(line)
    target = event.get("objectRef", {})
    return AuditRecord(
        user=event["user"].get("username", ""),
        verb=event["verb"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        agent=event.get("userAgent", ""),
    )

"""What an end-to-end test does to a cluster: apply, wait for a condition, chat, read the audit."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import httpx

from paddock.local.cluster import EmbeddedCluster
from paddock.local.control_plane import AuditRecord
from support.live import Live

Manifest = dict[str, Any]
DEADLINE = 120.0
_POLL = 0.1


class World:
    """One namespace of a running cluster."""

    def __init__(self, cluster: EmbeddedCluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self._live = Live(cluster.plane, namespace)

    def apply(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            manifest["metadata"].setdefault("namespace", self.namespace)
        self.cluster.apply(manifests)

    def get(self, kind: str, name: str) -> Manifest | None:
        return self._live.get(kind, name)

    def every(self, kind: str, selector: str = "") -> list[Manifest]:
        return self._live.every(kind, selector)

    def delete(self, kind: str, name: str, *arguments: str) -> None:
        self.cluster.kubectl("-n", self.namespace, "delete", kind, name, *arguments)

    def patch(self, kind: str, name: str, patch: Manifest) -> None:
        self.cluster.kubectl(
            "-n", self.namespace, "patch", kind, name, "--type=merge", "-p", json.dumps(patch)
        )

    def until(self, what: str, check: Callable[[], Any], seconds: float = DEADLINE) -> Any:
        """Wait for a condition to hold and return its value; fail with what was awaited."""
        deadline = time.monotonic() + seconds
        while not (value := check()):
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}\n{self.describe()}")
            time.sleep(_POLL)
        return value

    def describe(self) -> str:
        """Return what a person would look at first: objects, events and the operator's log."""
        kinds = "localmodels,inferencepools,jobs,pods,pvc,events"
        objects = self.cluster.kubectl("-n", self.namespace, "get", kinds, "-o", "wide")
        log = self.cluster.kubectl(
            "-n", "paddock-system", "logs", "deployment/paddock-operator", "--tail=40"
        )
        return f"{objects}\n{log}"

    def condition(self, kind: str, name: str, type_: str = "Ready") -> tuple[str, str, str]:
        found = self.get(kind, name) or {}
        for each in found.get("status", {}).get("conditions", []):
            if each["type"] == type_ and (
                each["observedGeneration"] == found["metadata"]["generation"]
            ):
                return each["status"], each["reason"], each["message"]
        return "", "", ""

    def until_ready(self, kind: str, name: str) -> Manifest:
        def ready() -> bool:
            status, reason, message = self.condition(kind, name)
            stalled = self.condition(kind, name, "Stalled")[0] == "True"
            assert not stalled, f"{kind} {name} stalled: {reason}: {message}"
            return status == "True"

        self.until(f"{kind} {name} is Ready", ready)
        found = self.get(kind, name)
        assert found is not None
        return found

    def until_reason(self, kind: str, name: str, reason: str, type_: str = "Ready") -> str:
        """Wait for a reason and return the message that goes with it."""
        self.until(
            f"{kind} {name} has {type_} reason {reason}",
            lambda: self.condition(kind, name, type_)[1] == reason,
        )
        return self.condition(kind, name, type_)[2]

    def chat(self, pool: str, model: str) -> Manifest:
        """Ask a ready pod of a pool for a short answer, past the gateway."""
        ready = "jsonpath={.subsets[0].addresses[0].ip}"
        address = self.cluster.kubectl("-n", self.namespace, "get", "endpoints", pool, "-o", ready)
        return _asked(f"http://{address}:8080", model)

    @property
    def gateway(self) -> str:
        """Return the URL of the namespace's gateway, as a user on this machine reaches it."""
        where = ("service", "paddock-gateway", "-o", "jsonpath={.spec.clusterIP}")
        return f"http://{self.cluster.kubectl('-n', self.namespace, 'get', *where)}"

    def ask(self, model: str) -> Manifest:
        """Ask the gateway for a short answer."""
        return _asked(self.gateway, model)

    def operator_metrics(self) -> str:
        """Return what the leading operator tells Prometheus."""
        pod = ("pod", leading_pod(self.cluster), "-o", "jsonpath={.status.podIP}")
        address = self.cluster.kubectl("-n", "paddock-system", "get", *pod)
        return httpx.get(f"http://{address}:8081/metrics", timeout=30).raise_for_status().text

    def operator_writes(self) -> list[AuditRecord]:
        """Return the operator's mutating requests in this namespace, oldest first."""
        return [
            record
            for record in self.cluster.plane.audit()
            if record.user == OPERATOR
            and record.namespace == self.namespace
            and record.verb in ("create", "update", "patch", "delete", "deletecollection")
        ]


def leading_pod(cluster: EmbeddedCluster) -> str:
    """Return the name of the operator's pod that holds the Lease."""
    lease = ("lease", "paddock-operator", "-o", "jsonpath={.spec.holderIdentity}")
    return cluster.kubectl("-n", "paddock-system", "get", *lease).partition("_")[0]


def _asked(url: str, model: str) -> Manifest:
    body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(  # noqa: S310 - our own cluster
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own cluster
            said: Manifest = json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error.code}: {error.read().decode()}") from None
    return said


OPERATOR = "system:serviceaccount:paddock-system:paddock-operator"


def local_model(name: str, source: str, **spec: Any) -> Manifest:
    return {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": "LocalModel",
        "metadata": {"name": name},
        "spec": {"source": source, **spec},
    }


def inference_pool(name: str, engine: str, *models: str, **spec: Any) -> Manifest:
    own = {"name": engine, **spec.pop("departs", {})}
    listed = spec.pop("models", [{"name": model} for model in models])
    return {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": "InferencePool",
        "metadata": {"name": name},
        "spec": {"engine": own, "models": listed, **spec},
    }

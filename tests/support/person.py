"""The `paddock` command as a person types it, against the real apiserver."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing

from paddock.__main__ import main
from paddock.local.api_client import ApiClient, ApiError

API = "/apis/paddock.dev/v1alpha1/namespaces"
PLURALS = {"LocalModel": "localmodels", "InferencePool": "inferencepools"}
TIME = "2026-01-01T11:00:00Z"


@dataclass(frozen=True)
class Person:
    """Types commands with one kubeconfig in one namespace, and plays the operator's part."""

    kubeconfig: Path
    namespace: str
    client: ApiClient

    def types(self, *words: str, typed: str | None = None) -> click.testing.Result:
        """Run a command in this process; the cluster options go at its end."""
        runner = click.testing.CliRunner()
        return runner.invoke(main, [*words, *self.options()], input=typed, prog_name="paddock")

    @staticmethod
    def types_bare(*words: str) -> click.testing.Result:
        """Run a command with no more options than these."""
        return click.testing.CliRunner().invoke(main, list(words), prog_name="paddock")

    def starts(self, *words: str) -> subprocess.Popen[str]:
        """Run a command as a process of its own."""
        command = [sys.executable, "-m", "paddock", *words, *self.options()]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def options(self) -> list[str]:
        return ["--kubeconfig", str(self.kubeconfig), "-n", self.namespace]

    def make(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        body = {
            "apiVersion": "paddock.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        self.client.request("POST", f"{API}/{self.namespace}/{PLURALS[kind]}", body)

    def get(self, kind: str, name: str) -> Any:
        """Return the object, or None while there is none."""
        try:
            return self.client.request("GET", f"{API}/{self.namespace}/{PLURALS[kind]}/{name}")
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def tell(self, kind: str, name: str, status: Mapping[str, Any]) -> None:
        """Write a status as the operator would."""
        path = f"{API}/{self.namespace}/{PLURALS[kind]}/{name}/status"
        body = json.loads(json.dumps({"status": status}))
        self.client.request("PATCH", path, body, "application/merge-patch+json")

    def claim(self, name: str, *, made_for: str) -> None:
        """Make a claim as the operator makes it for a model."""
        labels = {"app.kubernetes.io/managed-by": "paddock", "paddock.dev/model": made_for}
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        body = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "labels": labels},
            "spec": spec,
        }
        self.client.request("POST", self._claims, body)

    def claims(self) -> list[str]:
        """Return the names of the claims that are not being deleted."""
        items: Any = self.client.request("GET", self._claims)["items"]
        found = [each["metadata"] for each in items]
        return [each["name"] for each in found if "deletionTimestamp" not in each]

    @property
    def _claims(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims"


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": TIME, "observedGeneration": 1,
    }  # fmt: skip


READY = [condition("Ready", "True", "Ready", "Every replica serves what is declared.")]

"""The real operator as a process with the rights of an installed ServiceAccount, and no more."""

import json
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from paddock.api.localmodel import LocalModel
from support.chart_site import Site
from support.live import Live
from support.objects import result_text
from support.ports import free_port

ACCOUNT = "paddock-operator"
DEADLINE = 60.0
_POLL = 0.1


class AccountOperator:
    """`paddock operator` beside an apiserver, logged in with a ServiceAccount's token."""

    def __init__(
        self, site: Site, folder: Path, *, clusterwide: bool, options: tuple[str, ...] = ()
    ) -> None:
        self.site, self.folder, self.clusterwide = site, folder, clusterwide
        self.options = options
        self.user = f"system:serviceaccount:{site.namespace}:{ACCOUNT}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        namespace = self.site.namespace
        scope = [] if self.clusterwide else ["--namespace", namespace]
        with (self.folder / "operator.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "paddock", "operator", "--kubeconfig", self._kubeconfig(),
                 "--operator-namespace", namespace, "--health-port", str(free_port()), *scope,
                 *self.options],
                stdout=log,
                stderr=log,
            )  # fmt: skip

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def until(self, what: str, check: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + DEADLINE
        while not (value := check()):
            if time.monotonic() > deadline:
                log = (self.folder / "operator.log").read_text()
                raise AssertionError(f"never: {what}\n{log[-4000:]}")
            time.sleep(_POLL)
        return value

    def _kubeconfig(self) -> Path:
        token = self.site.kubectl(
            "-n", self.site.namespace, "create", "token", ACCOUNT, "--duration=1h"
        )
        plane = self.site.plane
        config = json.loads(self.site.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        config["clusters"][0]["cluster"]["server"] = plane.server
        config["users"][0]["user"] = {"token": token.strip()}
        file = self.folder / "account.kubeconfig"
        file.write_text(json.dumps(config))
        return file


class Story:
    """What users and kubelets do in one namespace, and what they see."""

    def __init__(self, site: Site, operator: AccountOperator) -> None:
        self.site, self.operator = site, operator
        self._live = Live(site.plane, site.namespace)

    def apply(self, *manifests: dict[str, Any]) -> None:
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.site.kubectl("-n", self.site.namespace, "apply", "-f", "-", stdin=body)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        return self._live.get(kind, name)

    def every(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        return self._live.every(kind, selector)

    def patch(self, kind: str, name: str, patch: dict[str, Any], *more: str) -> None:
        self.site.kubectl(
            "-n", self.site.namespace, "patch", kind, name, "--type=merge",
            "-p", json.dumps(patch), *more,
        )  # fmt: skip

    def until_drift_is_undone(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        """Change an owned field and wait until it is as it was."""
        before = self.get(kind, name)
        assert before is not None
        self.patch(kind, name, patch)
        self.operator.until(
            f"{kind} {name} is put right",
            lambda: _same(self.get(kind, name), before),
        )

    @contextmanager
    def restless(self, path: str) -> Iterator[None]:
        """Have somebody annotate an object without a pause, as long as it is there."""
        place = f"{self.site.plane.server}{path}"
        enough = threading.Event()
        restless = threading.Thread(target=_annotate, args=(self.administrator(), place, enough))
        restless.start()
        try:
            yield
        finally:
            enough.set()
            restless.join()

    def administrator(self) -> httpx.Client:
        """Return a client that may do everything."""
        pki = self.site.plane.folder / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return httpx.Client(verify=context, timeout=DEADLINE)

    def pulling(self, model: str) -> str:
        """Wait for the pod of a model's pull Job and return its name."""
        pods = self.operator.until(
            f"{model} is being pulled",
            lambda: self.every("pods", f"paddock.dev/model={model}"),
        )
        return str(pods[0]["metadata"]["name"])

    def finish_pull(self, model: str, **more: Any) -> LocalModel:
        """End a pull as its kubelet would, and wait until the model is Ready."""
        name = self.pulling(model)
        ended = {
            "exitCode": 0,
            "message": result_text(**more),
            "finishedAt": "2026-01-01T00:00:00Z",
        }
        status = {
            "phase": "Succeeded",
            "containerStatuses": [
                {"name": "pull", "ready": False, "restartCount": 0, "image": "i", "imageID": "i",
                 "state": {"terminated": ended}}
            ],
        }  # fmt: skip
        self.patch("pod", name, {"status": status}, "--subresource=status")
        self.operator.until(f"{model} is Ready", lambda: self.is_ready(model))
        return LocalModel.model_validate(self.get("localmodel", model))

    def is_ready(self, model: str) -> bool:
        found = self.get("localmodel", model) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _same(live: dict[str, Any] | None, before: dict[str, Any]) -> bool:
    return live is not None and all(
        live.get(key) == before.get(key) for key in ("spec", "data") if key in before
    )


def _annotate(client: httpx.Client, place: str, enough: threading.Event) -> None:
    kind = {"Content-Type": "application/merge-patch+json"}
    number = 0
    with client:
        while not enough.is_set():
            number += 1
            patch = {"metadata": {"annotations": {"example.com/restless": str(number)}}}
            answer = client.patch(place, content=json.dumps(patch), headers=kind)
            if answer.status_code != httpx.codes.OK:
                return

"""What GitOps tools make of an object: kstatus by its rules, Argo CD by our Lua in a real Lua."""

from functools import cache
from pathlib import Path
from typing import Any

import lupa
import yaml

ROOT = Path(__file__).resolve().parents[2]
ARGO = ROOT / "manifests" / "gitops" / "argocd" / "argocd-cm.yaml"
AGREEING = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded",
            "Terminating": "Progressing"}  # fmt: skip
"""What Argo CD calls each result of kstatus."""


def kstatus(whole: dict[str, Any]) -> str:
    """Return the status that cli-utils computes for a custom resource, by its generic rules."""
    metadata, status = whole["metadata"], whole.get("status", {})
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return "InProgress"
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    ready = conditions.get("Ready")
    return "InProgress" if ready in ("False", "Unknown") else "Current"


@cache
def _argo_checks() -> dict[str, Any]:
    """Return the compiled health check of each kind."""
    data = yaml.safe_load(ARGO.read_text())["data"]
    prefix = "resource.customizations.health.paddock.dev_"
    runtime = lupa.LuaRuntime(unpack_returned_tuples=True)
    return {
        name.removeprefix(prefix): (runtime, runtime.eval(f"function(obj)\n{text}\nend"))
        for name, text in data.items()
        if name.startswith(prefix)
    }


def argo_health(kind: str, whole: dict[str, Any]) -> tuple[str, str]:
    """Return health and message as Argo CD would show them."""
    runtime, check = _argo_checks()[kind]
    said = check(_table(runtime, whole))
    return str(said["status"]), str(said["message"])


def _table(runtime: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return runtime.table_from({key: _table(runtime, each) for key, each in value.items()})
    if isinstance(value, list | tuple):
        return runtime.table_from([_table(runtime, each) for each in value])
    return value

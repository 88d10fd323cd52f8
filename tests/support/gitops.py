"""What GitOps tools make of an object: kstatus by its rules, Argo CD by our Lua in a real Lua.

The Lua is 5.1, like that of Argo CD, without the libraries that Argo CD leaves out.
"""

from functools import cache
from pathlib import Path
from typing import Any

import lupa.lua51
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
    runtime = _lua()
    return {
        name.removeprefix(prefix): (runtime, runtime.eval(f"function(obj)\n{text}\nend"))
        for name, text in data.items()
        if name.startswith(prefix)
    }


def _lua() -> Any:
    """Return a Lua with what Argo CD's has: the basics, tables, and the clock."""
    runtime = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
    runtime.execute("""
        local clock = {time = os.time, date = os.date}
        package.loaded.os = clock
        os, io, string, math, debug, coroutine = clock, nil, nil, nil, nil, nil
        python, dofile, loadfile = nil, nil, nil
    """)
    return runtime


def argo_actions(kind: str, whole: dict[str, Any]) -> set[str]:
    """Return the actions that Argo CD offers on an object."""
    runtime = _lua()
    offered = _run(runtime, _actions_of(kind)["discovery.lua"], whole)
    return {str(name) for name, each in offered.items() if not each["disabled"]}


def argo_act(kind: str, action: str, whole: dict[str, Any]) -> dict[str, Any]:
    """Return the object as an action of Argo CD leaves it."""
    (definition,) = [each for each in _actions_of(kind)["definitions"] if each["name"] == action]
    found: dict[str, Any] = _plain(_run(_lua(), definition["action.lua"], whole))
    return found


def _actions_of(kind: str) -> dict[str, Any]:
    data = yaml.safe_load(ARGO.read_text())["data"]
    found: dict[str, Any] = yaml.safe_load(
        data[f"resource.customizations.actions.paddock.dev_{kind}"]
    )
    return found


def _run(runtime: Any, text: str, whole: dict[str, Any]) -> Any:
    return runtime.eval(f"function(obj)\n{text}\nend")(_table(runtime, whole))


def _plain(value: Any) -> Any:
    """Return a table of Lua as what it stands for; one with numbers for keys is a list."""
    if lupa.lua51.lua_type(value) != "table":
        return value
    items = dict(value.items())
    if items and set(items) == set(range(1, len(items) + 1)):
        return [_plain(items[index]) for index in sorted(items)]
    return {str(key): _plain(each) for key, each in items.items()}


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

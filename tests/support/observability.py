"""The committed dashboards and alerts, and every query in them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from paddock.plan.gateway.signals import CALLER
from paddock.plan.telemetry.request_metrics import LABELS

FOLDER = Path(__file__).resolve().parents[2] / "manifests" / "observability"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
_FILLED = {"$pool": ".*", "$model": ".*"}

_LABELS = {each.replace(".", "_") for each in (*LABELS, CALLER, "gen_ai.token.type")}


def panels() -> Iterator[tuple[str, str]]:
    """Yield the title and query of every panel, its variables filled in."""
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{board['title']}: {panel['title']}", filled(target["expr"])


def variables() -> Iterator[str]:
    for file in DASHBOARDS:
        for variable in json.loads(file.read_text())["templating"]["list"]:
            if variable["type"] == "query":
                yield filled(variable["query"])


def filled(query: str, namespace: str = ".*", interval: str = "5s") -> str:
    for variable, value in {
        **_FILLED,
        "$namespace": namespace,
        "$__rate_interval": interval,
    }.items():
        query = query.replace(variable, value)
    return query


def queries_of(board: str) -> dict[str, list[str]]:
    """Return the queries of each panel of a dashboard, by its title, as they are written."""
    (file,) = [file for file in DASHBOARDS if file.stem == board]
    found = json.loads(file.read_text())["panels"]
    return {panel["title"]: [each["expr"] for each in panel["targets"]] for panel in found}


def summed(query: str) -> str:
    """Return a query with whole sums in place of rates: what it tells of all that ever was."""
    return re.sub(r"rate\((\w+\{[^}]*\})\[\$__rate_interval\]\)", r"\1", query)


def rule_groups() -> list[Any]:
    found: list[Any] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["spec"]["groups"]
    return found


def alerts() -> dict[str, Any]:
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def recorded() -> dict[str, str]:
    """Return what is recorded under which name."""
    return {rule["record"]: rule["expr"] for rule in _rules() if "record" in rule}


def _rules() -> Iterator[Any]:
    return (rule for group in rule_groups() for rule in group["rules"])


def metrics_of(query: str) -> set[str]:
    return set(re.findall(r"\b(?:paddock|gen_ai)[_:][\w:]+", query)) - _LABELS

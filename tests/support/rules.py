"""The rules that every status must keep; each test of a status runs them over it.

A broken rule is a sentence; `check_status` fails with all of them at once.
"""

import re
from collections.abc import Iterator
from typing import Any

from paddock import names
from paddock.api.base import Condition, Diagnosis
from paddock.api.inferencepool import InferencePoolStatus
from paddock.api.localmodel import LocalModelStatus
from paddock.api.reasons import ConditionType, Reason
from paddock.clock import parse_rfc3339
from support.gitops import AGREEING, argo_health, kstatus

ABNORMAL = frozenset({ConditionType.RECONCILING, ConditionType.STALLED})
"""Present only while true."""
SUMMARY = ABNORMAL | {ConditionType.READY}
INFORMATIVE = frozenset(
    {ConditionType.UP_TO_DATE, ConditionType.FITS, ConditionType.TELEMETRY_READY}
)
"""May be false or unknown beside Ready."""
LONGEST = 1024
_SECRET = re.compile(
    r"bearer |hf_[A-Za-z0-9]{8}|sk-[A-Za-z0-9]{8}|AKIA[0-9A-Z]{12}|-----BEGIN|"
    r"(password|passwd|secret|token|api_?key)=|://[^/\s]+:[^/\s]+@|[?&](sig|signature|x-amz-)",
    re.IGNORECASE,
)
_VOLATILE = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d|0x[0-9a-f]{6,}|back-off \d|\b\d+(\.\d+)?(ms|s) ago\b|"
    r"\(x\d+|restart(ed|s)? \d+ times?"
)

Status = LocalModelStatus | InferencePoolStatus
Whole = dict[str, Any]
_STATUSES: dict[str, type[LocalModelStatus | InferencePoolStatus]] = {
    names.LOCAL_MODEL: LocalModelStatus,
    names.INFERENCE_POOL: InferencePoolStatus,
}


def check_status(status: Status, *, generation: int) -> None:
    """Fail with every rule the status breaks."""
    broken = [
        *broken_rules(status, generation=generation),
        *_broken_for_gitops(status, generation=generation),
    ]
    assert not broken, "\n".join(broken)


def broken_object(whole: Whole) -> Iterator[str]:
    """Yield what is wrong with an object as an apiserver shows it, whoever looks and when."""
    told, metadata = whole.get("status", {}), whole["metadata"]
    observed, generation = told.get("observedGeneration"), metadata["generation"]
    if told.get("conditions"):
        status = _STATUSES[whole["kind"]].model_validate(told)
        yield from broken_rules(status, generation=observed)
        if observed == generation and "deletionTimestamp" not in metadata:
            yield from _broken_for_gitops(status, generation=generation)
            return
    if observed is not None and observed > generation:
        yield f"observedGeneration is {observed}, and the object's {generation}"
    believed = kstatus(whole), argo_health(whole["kind"], whole)[0]
    if believed not in (("InProgress", "Progressing"), ("Terminating", "Progressing")):
        yield f"a status that is not of this generation is believed: {believed}"


def broken_between(before: Whole, after: Whole) -> Iterator[str]:
    """Yield what may not follow one another: a generation that goes back, a time that moves."""
    first, then = (each.get("status", {}) for each in (before, after))
    if then.get("observedGeneration", -1) < first.get("observedGeneration", -1):
        yield f"observedGeneration went back from {first['observedGeneration']}"
    known = {each["type"]: each for each in first.get("conditions", ())}
    for condition in then.get("conditions", ()):
        was = known.get(condition["type"])
        if was is not None and was["status"] == condition["status"]:
            moved = was["lastTransitionTime"] != condition["lastTransitionTime"]
            if moved:
                yield f"{condition['type']} stayed {was['status']} and its time moved"


def _broken_for_gitops(status: Status, *, generation: int) -> Iterator[str]:
    """Compare kstatus and Argo CD with what Ready, Stalled and Reconciling say."""
    kind = "LocalModel" if isinstance(status, LocalModelStatus) else "InferencePool"
    told = status.model_dump(by_alias=True, exclude_none=True)
    whole = {"metadata": {"generation": generation}, "status": told}
    states = {each.type: each.status for each in status.conditions}
    if states.get(ConditionType.READY) == "True":
        wanted = "Current"
    else:
        wanted = "Failed" if ConditionType.STALLED in states else "InProgress"
    if kstatus(whole) != wanted:
        yield f"kstatus says {kstatus(whole)}, not {wanted}"
    health, message = argo_health(kind, whole)
    if health != AGREEING[wanted]:
        yield f"Argo CD says {health}, not {AGREEING[wanted]}"
    if message not in {each.message for each in status.conditions}:
        yield f"Argo CD shows words that no condition says: {message!r}"


def broken_rules(status: Status, *, generation: int) -> Iterator[str]:
    """Yield one sentence for each broken rule."""
    if status.observed_generation != generation:
        yield f"observedGeneration is {status.observed_generation}, not {generation}"
    types = [condition.type for condition in status.conditions]
    if len(set(types)) != len(types):
        yield f"a condition type appears twice: {types}"
    unfinished = any(
        each.type == ConditionType.READY and each.status == "Unknown" for each in status.conditions
    )
    for condition in status.conditions:
        if unfinished and condition.type not in SUMMARY:  # it says what it knew before
            yield from _broken_by_condition(condition, condition.observed_generation)
            continue
        yield from _broken_by_condition(condition, generation)
    for diagnosis in status.diagnosis:
        yield from _broken_by_diagnosis(diagnosis)
    yield from _broken_by_summary({condition.type: condition for condition in status.conditions})


def _broken_by_condition(condition: Condition, generation: int) -> Iterator[str]:
    where = f"condition {condition.type}"
    if condition.type not in set(ConditionType):
        yield f"{where} is not among the declared types"
    if condition.reason not in set(Reason):
        yield f"{where} has the undeclared reason {condition.reason}"
    if condition.observed_generation != generation:
        yield f"{where} observed generation {condition.observed_generation}, not {generation}"
    parse_rfc3339(condition.last_transition_time)
    yield from _broken_by_text(where, condition.message)


def _broken_by_diagnosis(diagnosis: Diagnosis) -> Iterator[str]:
    where = f"diagnosis of {diagnosis.object}"
    if not re.fullmatch(r"[A-Z][A-Za-z]+/[a-zA-Z0-9][-a-zA-Z0-9.]*", diagnosis.object):
        yield f"{where}: the object is not written Kind/name"
    if diagnosis.reason not in set(Reason):
        yield f"{where} has the undeclared reason {diagnosis.reason}"
    yield from _broken_by_text(f"{where}, cause", diagnosis.cause)
    yield from _broken_by_text(f"{where}, fix", diagnosis.fix)


def _broken_by_text(where: str, text: str) -> Iterator[str]:
    if not text.endswith(".") or text.endswith(".."):
        yield f"{where} does not end with one period: {text!r}"
    if "\n" in text or "  " in text or text != text.strip():
        yield f"{where} is not one plain line: {text!r}"
    if not text[:1].isalnum():
        yield f"{where} does not start with a word: {text!r}"
    if len(text) > LONGEST:
        yield f"{where} is {len(text)} characters long"
    if _SECRET.search(text):
        yield f"{where} looks as if it held a secret: {text!r}"
    if _VOLATILE.search(text):
        yield f"{where} holds a time or a counter, so it would change by itself: {text!r}"
    if "None" in text or "{" in text:
        yield f"{where} holds a value that was not worded: {text!r}"


def _broken_by_summary(conditions: dict[str, Condition]) -> Iterator[str]:
    ready = conditions.get(ConditionType.READY)
    if ready is None:
        yield "there is no Ready"
        return
    abnormal = [conditions[kind] for kind in sorted(ABNORMAL) if kind in conditions]
    yield from (f"{each.type} is there and {each.status}" for each in abnormal
                if each.status != "True")  # fmt: skip
    if ready.status == "True" and abnormal:
        yield f"Ready is True beside {abnormal[0].type}"
    if ready.status != "True" and len(abnormal) != 1:
        yield f"Ready is {ready.status} with {len(abnormal)} of Reconciling and Stalled"
    if ready.status == "True":
        yield from (
            f"Ready is True while {each.type} is {each.status}"
            for each in conditions.values()
            if each.status != "True" and each.type not in INFORMATIVE
        )
    if ready.status != "True" and abnormal and abnormal[0].reason != ready.reason:
        yield f"Ready says {ready.reason} and {abnormal[0].type} says {abnormal[0].reason}"

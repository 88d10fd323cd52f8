"""What passes tell of the objects they see: pulls in flight, and how long until the first Ready.

Holds only what is in flight now; a restarted operator reads it from the objects again.
"""

from collections.abc import Iterable
from datetime import datetime

from paddock.api.base import Condition, ObjectMeta
from paddock.api.localmodel import Progress
from paddock.api.reasons import ConditionType
from paddock.clock import parse_rfc3339
from paddock.facts import Key, Kind
from paddock.telemetry import catalog
from paddock.telemetry.loads import LoadMeasures
from paddock.telemetry.registry import Labels, Registry

_FIRST_PASS_SECONDS = 60.0
"""A Ready condition that turned False later than this after creation was Ready in between."""


class ObjectMeasures:
    """What one operator process tells of its objects."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._pulls: dict[Labels, Progress] = {}
        self.loads = LoadMeasures(registry)
        registry.read(catalog.PULL_PROGRESS, self._bytes)
        registry.read(catalog.PULL_SIZE, self._sizes)

    def note_progress(self, key: Key, progress: Progress | None) -> None:
        """Take how far a model's pull is; None where none is in flight."""
        if progress is None:
            self._pulls.pop((key.namespace, key.name), None)
        else:
            self._pulls[key.namespace, key.name] = progress

    def note_conditions(
        self,
        kind: Kind,
        metadata: ObjectMeta,
        *,
        before: Iterable[Condition],
        after: Iterable[Condition],
        now: datetime,
    ) -> None:
        """Record the time since creation where an object becomes Ready for the first time."""
        if metadata.creation_timestamp is None:
            return
        created = parse_rfc3339(metadata.creation_timestamp)
        is_now, was = _ready(after), _ready(before)
        if is_now is None or is_now.status != "True" or not _never_was_ready(was, created):
            return
        seconds = max(0.0, (now - created).total_seconds())
        self._registry.record(catalog.READY_DURATION, seconds, kind.plural)

    def _bytes(self) -> dict[Labels, float]:
        return {place: each.bytes for place, each in self._pulls.items()}

    def _sizes(self) -> dict[Labels, float]:
        known = ((place, each.total_bytes) for place, each in self._pulls.items())
        return {place: size for place, size in known if size is not None}


def _ready(conditions: Iterable[Condition]) -> Condition | None:
    return next((each for each in conditions if each.type == ConditionType.READY), None)


def _never_was_ready(condition: Condition | None, created: datetime) -> bool:
    if condition is None:
        return True
    since = parse_rfc3339(condition.last_transition_time)
    return condition.status != "True" and (since - created).total_seconds() <= _FIRST_PASS_SECONDS

"""Events recorded: what `status.happenings` tells, as core/v1 Events of one name per telling.

The same telling again raises the count of the one event. An event that cannot be written is let go:
the conditions are what counts.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime

from paddock import names
from paddock.api.base import ObjectMeta
from paddock.clock import rfc3339
from paddock.errors import ApiError
from paddock.facts import Kind
from paddock.kinds import EVENTS
from paddock.kube.cluster import Cluster
from paddock.status.happenings import Happening
from paddock.wire import Json, Manifest

log = logging.getLogger("paddock.events")
_LONGEST_NAME = 253
_CONTROLLER = f"{names.GROUP}/operator"


async def record_event(
    cluster: Cluster,
    kind: Kind,
    metadata: ObjectMeta,
    happening: Happening,
    *,
    now: datetime,
) -> None:
    """Write one event about an object."""
    try:
        known = await cluster.get(EVENTS, metadata.namespace, _name(metadata, happening))
        await cluster.apply(build_event(kind, metadata, happening, known, now))
    except ApiError as error:
        log.warning("event not written: %s", error)


def build_event(
    kind: Kind, metadata: ObjectMeta, happening: Happening, known: Manifest | None, now: datetime
) -> Manifest:
    """Return the event, once more than it is known."""
    moment = rfc3339(now)
    before: Mapping[str, Json] = known or {}
    count = before.get("count")
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": _name(metadata, happening), "namespace": metadata.namespace},
        "involvedObject": {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
        },
        "type": happening.type,
        "reason": happening.reason,
        "message": happening.note,
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": _CONTROLLER,
        "firstTimestamp": before.get("firstTimestamp") or moment,
        "lastTimestamp": moment,
        "count": count + 1 if isinstance(count, int) else 1,
    }


def _name(metadata: ObjectMeta, happening: Happening) -> str:
    told = json.dumps([metadata.uid, happening.type, happening.reason, happening.note])
    return names.fitted_name(metadata.name, names.short_hash(told), _LONGEST_NAME)

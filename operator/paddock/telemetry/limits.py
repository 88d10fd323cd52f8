"""What callers may use, told beside what they do use: the limits that pools declare. Pure."""

from collections.abc import Iterable

from paddock.raw import at, items, text
from paddock.telemetry.registry import Labels
from paddock.wire import Manifest

_LATEST = ":latest"


def token_limits(pools: Iterable[Manifest]) -> dict[Labels, float]:
    """Return the tokens that a caller may use of each model in a minute: the strictest of pools."""
    found: dict[Labels, float] = {}
    for pool in pools:
        for labels, limit in _limits_of(pool).items():
            found[labels] = min(limit, found.get(labels, limit))
    return found


def _limits_of(pool: Manifest) -> dict[Labels, float]:
    limit = at(pool, "spec", "gateway", "limits", "tokensPerMinute")
    if not isinstance(limit, int) or at(pool, "metadata", "deletionTimestamp") is not None:
        return {}
    namespace = text(pool, "metadata", "namespace") or ""
    served = (
        text(each, "as") or text(each, "name") or "" for each in items(pool, "spec", "models")
    )
    return {(namespace, name.removesuffix(_LATEST)): float(limit) for name in served}

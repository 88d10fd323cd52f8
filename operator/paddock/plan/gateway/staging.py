"""In which steps a configuration comes into force, so that no request meets half of it. Pure.

An Envoy takes clusters and routes each when it likes. So a route to a new cluster is written when
every Envoy has that cluster, and a cluster goes when no Envoy has a route to it any more.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from paddock import names
from paddock.plan.gateway.bootstrap import CLUSTERS_FILE, LISTENERS_FILE, ROUTES_FILE
from paddock.plan.gateway.rendering import BOOTSTRAP_FILE, Rendering, version_of
from paddock.raw import text
from paddock.wire import Json, Manifest


@dataclass(frozen=True, slots=True)
class Written:
    """What the ConfigMap holds now."""

    version: str
    clusters: Sequence[Mapping[str, Json]]
    listeners: Sequence[Mapping[str, Json]]
    routes: Mapping[str, Json]


def next_step(
    final: Rendering,
    live: Manifest | None,
    running: Collection[frozenset[str]],
    *,
    patient: bool = True,
) -> Rendering:
    """Return what to write now; `running` holds the versions that each ready Envoy runs.

    An Envoy that does not take what is written is waited for only while we are patient.
    """
    written = written_in(live) if live is not None else None
    if written is None or not running or written.version == final.version:
        return final
    if any(versions != {written.version} for versions in running):
        if not patient:
            return final
        return _as(final, written.clusters, written.listeners, written.routes)
    if written.routes == final.routes and list(written.listeners) == list(final.listeners):
        return final
    kept = {_name(each) for each in final.clusters}
    both = [*final.clusters, *(each for each in written.clusters if _name(each) not in kept)]
    if kept <= {_name(each) for each in written.clusters}:
        return _as(final, both, final.listeners, final.routes)
    return _as(final, both, written.listeners, written.routes)


def _as(
    final: Rendering,
    clusters: Sequence[Mapping[str, Json]],
    listeners: Sequence[Mapping[str, Json]],
    routes: Mapping[str, Json],
) -> Rendering:
    version = version_of(final.bootstrap, clusters, listeners, routes)
    return replace(final, version=version, clusters=clusters, listeners=listeners, routes=routes)


def written_in(config_map: Manifest) -> Written | None:
    """Read what a ConfigMap of ours holds; None where it holds something else than we wrote."""
    data = config_map.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get(BOOTSTRAP_FILE), str):
        return None
    try:
        clusters = _resources(data, CLUSTERS_FILE)
        listeners = _resources(data, LISTENERS_FILE)
        (routes,) = _resources(data, ROUTES_FILE)
    except (KeyError, TypeError, ValueError):
        return None
    version = version_of(str(data[BOOTSTRAP_FILE]), clusters, listeners, routes)
    ours = text(config_map, "metadata", "annotations", names.CONFIG_ANNOTATION) == version
    return Written(version, clusters, listeners, routes) if ours else None


def _resources(data: Mapping[str, Json], file: str) -> list[Mapping[str, Json]]:
    return list(json.loads(str(data[file]))["resources"])


def _name(cluster: Mapping[str, Json]) -> str:
    return str(cluster["name"])

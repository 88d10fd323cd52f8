"""A namespace's whole Envoy configuration as files, and as one file that Envoy can judge. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.plan.gateway.bootstrap import (
    CLUSTERS_FILE,
    LISTENERS_FILE,
    ROUTES_FILE,
    Place,
    bootstrap,
)
from paddock.plan.gateway.catalog import served_by
from paddock.plan.gateway.clusters import (
    activator_cluster,
    may_be_at_zero,
    pool_cluster,
    wake_cluster,
)
from paddock.plan.gateway.listener import listener
from paddock.plan.gateway.routes import ROUTE_TABLE, route_table
from paddock.plan.gateway.xds import discovery, from_file, text
from paddock.wire import Json

BOOTSTRAP_FILE = "envoy.json"
_VERSION_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Rendering:
    """The configuration of one gateway."""

    version: str
    bootstrap: str
    resources: Mapping[str, str]
    """The files that change while Envoy runs."""
    whole: str
    """The same as one static file, which `envoy --mode validate` reads to the end."""

    @property
    def files(self) -> Mapping[str, str]:
        """Return every file of the configuration's folder."""
        return {BOOTSTRAP_FILE: self.bootstrap, **self.resources}


def render(
    namespace: str,
    pools: Sequence[InferencePool],
    models: Mapping[str, LocalModel],
    domain: str,
    place: Place | None = None,
    *,
    operator_namespace: str = "paddock-system",
) -> Rendering:
    """Return the configuration that serves these pools."""
    place = place or Place()
    alive = sorted(
        (pool for pool in pools if pool.metadata.deletion_timestamp is None),
        key=lambda pool: pool.metadata.name,
    )
    table = route_table(served_by(alive, models))
    clusters = _clusters(alive, domain, operator_namespace)
    source: Json = {
        "rds": {
            "route_config_name": ROUTE_TABLE,
            "config_source": from_file(place.folder, ROUTES_FILE),
        }
    }
    dynamic = listener(source, place.port)
    start = bootstrap(namespace, place)
    version = _version([start, clusters, dynamic, table])
    return Rendering(
        version=version,
        bootstrap=text(start),
        resources={
            CLUSTERS_FILE: text(discovery(version, clusters)),
            LISTENERS_FILE: text(discovery(version, [dynamic])),
            ROUTES_FILE: text(discovery(version, [table])),
        },
        whole=text(_whole(start, clusters, listener({"route_config": _bare(table)}, place.port))),
    )


def _clusters(
    pools: Sequence[InferencePool], domain: str, operator_namespace: str
) -> list[dict[str, Json]]:
    clusters = [pool_cluster(pool, domain) for pool in pools]
    sleepers = [wake_cluster(pool) for pool in pools if may_be_at_zero(pool)]
    if not sleepers:
        return clusters
    return [*clusters, activator_cluster(operator_namespace, domain), *sleepers]


def _whole(start: Mapping[str, Json], clusters: Sequence[Json], front: Mapping[str, Json]) -> Json:
    """Put everything into the bootstrap, which is all that Envoy's validation looks at."""
    static = start["static_resources"]
    own = static if isinstance(static, Mapping) else {}
    listeners, known = own.get("listeners"), own.get("clusters")
    without = {key: value for key, value in start.items() if key != "dynamic_resources"}
    return {
        **without,
        "static_resources": {
            "listeners": [*_list(listeners), _bare(front)],
            "clusters": [*_list(known), *(_bare(each) for each in clusters)],
        },
    }


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list) else []


def _bare(message: Json) -> Json:
    """Return a message without its type, where its place says it."""
    if not isinstance(message, Mapping):
        return message
    return {key: value for key, value in message.items() if key != "@type"}


def _version(parts: Json) -> str:
    return hashlib.sha256(text(parts).encode()).hexdigest()[:_VERSION_LENGTH]

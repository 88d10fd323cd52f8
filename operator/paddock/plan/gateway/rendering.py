"""A namespace's whole Envoy configuration as files, and as one file that Envoy can judge. Pure."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.callers import Callers
from paddock.plan.gateway.bootstrap import (
    CLUSTERS_FILE,
    LISTENERS_FILE,
    ROUTES_FILE,
    Place,
    bootstrap,
)
from paddock.plan.gateway.catalog import Served, gateway_replicas, served_by
from paddock.plan.gateway.certificate import (
    CERTIFICATE_FILE,
    certificate_pool,
    certificate_resource,
    inner_listener,
)
from paddock.plan.gateway.clusters import (
    activator_cluster,
    aggregate_cluster,
    pool_cluster,
)
from paddock.plan.gateway.content import content_filters
from paddock.plan.gateway.issuers import issuer_cluster, named_by
from paddock.plan.gateway.listener import listener
from paddock.plan.gateway.routes import ROUTE_TABLE, route_table
from paddock.plan.gateway.signals import traced_percent
from paddock.plan.gateway.tokens import access_to
from paddock.plan.gateway.ways import ways_of_all
from paddock.plan.gateway.xds import discovery, from_file, text
from paddock.wire import Json

BOOTSTRAP_FILE = "envoy.json"
_VERSION_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a gateway is: the cluster's DNS domain, the operator's namespace, folder and ports."""

    domain: str = "cluster.local"
    operator_namespace: str = "paddock-system"
    place: Place = field(default_factory=Place)


@dataclass(frozen=True, slots=True)
class Rendering:
    """The configuration of one gateway."""

    version: str
    bootstrap: str
    clusters: Sequence[Mapping[str, Json]]
    listeners: Sequence[Mapping[str, Json]]
    """The front one, and where TLS is served its twin behind it."""
    routes: Mapping[str, Json]
    whole: str
    """The same as one static file, which `envoy --mode validate` reads to the end; less the TLS
    itself, whose files are where Envoy runs."""
    certificate: Mapping[str, Json] | None = None

    @property
    def files(self) -> Mapping[str, str]:
        """Return every file of the folder; all but the first are read as they change."""
        return {
            BOOTSTRAP_FILE: self.bootstrap,
            CLUSTERS_FILE: text(discovery(self.version, self.clusters)),
            LISTENERS_FILE: text(discovery(self.version, self.listeners)),
            ROUTES_FILE: text(discovery(self.version, [self.routes])),
            **self._certificate_file,
        }

    @property
    def _certificate_file(self) -> Mapping[str, str]:
        if self.certificate is None:
            return {}
        return {CERTIFICATE_FILE: text(discovery(self.version, [self.certificate]))}


def render(
    namespace: str,
    pools: Sequence[InferencePool],
    models: Mapping[str, LocalModel],
    around: Surroundings,
    callers: Callers | None = None,
    *,
    still_woken: Collection[str] = (),
) -> Rendering:
    """Return the configuration that serves these pools; some are still woken that gave zero up."""
    place = around.place
    alive = sorted(
        (pool for pool in pools if pool.metadata.deletion_timestamp is None),
        key=lambda pool: pool.metadata.name,
    )
    served = served_by(alive, models, still_woken)
    known = callers or Callers()
    traced = traced_percent(alive)
    measured = traced is not None
    envoys = gateway_replicas(alive)
    table = route_table(served, known, envoys, measured=measured)
    access = access_to(served, namespace, known)
    clusters = [
        *(pool_cluster(pool, around.domain, envoys) for pool in alive),
        *_joined(served, around),
        *map(issuer_cluster, named_by(served)),
    ]
    source: Json = {
        "rds": {
            "route_config_name": ROUTE_TABLE,
            "config_source": from_file(place.folder, ROUTES_FILE),
        }
    }
    collector = f"{names.GATEWAY_COLLECTOR}.{namespace}.svc.{around.domain}." if measured else None
    secured = certificate_pool(alive) is not None
    recorders = content_filters(served)
    front = listener(source, access, place.port, traced=traced, recorders=recorders)
    dynamic = _listeners(front, place, secured=secured)
    start = bootstrap(namespace, place, collector, secured=secured)
    judged = bootstrap(namespace, place, collector)
    own = {"route_config": _bare(table)}
    inline = listener(own, access, place.port, traced=traced, recorders=recorders)
    return Rendering(
        version=version_of(text(start), clusters, dynamic, table),
        bootstrap=text(start),
        clusters=clusters,
        listeners=dynamic,
        routes=table,
        whole=text(_whole(judged, clusters, _listeners(inline, place, secured=secured))),
        certificate=certificate_resource(place.certificate) if secured else None,
    )


def _listeners(front: dict[str, Json], place: Place, *, secured: bool) -> list[dict[str, Json]]:
    return [front, *([inner_listener(front, place.inner_port)] if secured else ())]


def _joined(served: Sequence[Served], around: Surroundings) -> Iterator[dict[str, Json]]:
    """Yield the clusters made of others, and the activator's where some of them ends with it."""
    ways = {way.clusters for way in ways_of_all(served) if len(way.clusters) > 1}
    if any(names.ACTIVATOR in way for way in ways):
        yield activator_cluster(around.operator_namespace, around.domain)
    yield from (aggregate_cluster(way) for way in sorted(ways))


def _whole(
    start: Mapping[str, Json], clusters: Sequence[Json], fronts: Sequence[Mapping[str, Json]]
) -> Json:
    """Put everything into the bootstrap, which is all that Envoy's validation looks at."""
    static = start["static_resources"]
    own = static if isinstance(static, Mapping) else {}
    listeners, known = own.get("listeners"), own.get("clusters")
    without = {key: value for key, value in start.items() if key != "dynamic_resources"}
    return {
        **without,
        "static_resources": {
            "listeners": [*_list(listeners), *(_bare(each) for each in fronts)],
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


def version_of(
    start: str,
    clusters: Sequence[Json],
    fronts: Sequence[Mapping[str, Json]],
    table: Mapping[str, Json],
) -> str:
    """Return the version that stands for exactly these files."""
    return hashlib.sha256(text([start, clusters, list(fronts), table]).encode()).hexdigest()[
        :_VERSION_LENGTH
    ]

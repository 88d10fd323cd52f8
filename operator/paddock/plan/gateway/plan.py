"""What a namespace's gateway needs next. Pure: facts and their rendering in, a GatewayPlan out.

A configuration that Envoy refuses is never written: the last good one stays, and serves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.facts import (
    Apply,
    Change,
    Done,
    EnvoyReport,
    GatewayFacts,
    Outcome,
    PodFact,
    Refusal,
    Wait,
)
from paddock.plan.changes import plan_changes
from paddock.plan.gateway.catalog import gateway_replicas, served_by
from paddock.plan.gateway.certificate import certificate_pool, secret_of
from paddock.plan.gateway.clusters import pool_cluster_name
from paddock.plan.gateway.collector import build_gateway_collector
from paddock.plan.gateway.deployment import build_gateway_deployment
from paddock.plan.gateway.exposure import build_http_route, build_ingress, exposure_of
from paddock.plan.gateway.objects import (
    build_gateway_config_map,
    build_gateway_disruption_budget,
    build_gateway_network_policy,
    build_gateway_service,
    gateway_metadata,
)
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from paddock.plan.gateway.staging import next_step
from paddock.plan.gateway.waking import still_woken
from paddock.raw import text
from paddock.settings import Settings
from paddock.wire import Json, Manifest

PRUNED = frozenset(
    {"ConfigMap", "Deployment", "HTTPRoute", "Ingress", "NetworkPolicy", "PodDisruptionBudget"}
)
"""Kinds of which a gateway has one more while a pool asks for telemetry, or for a way in from
outside; the Collector's Service goes with the Deployment that owns it."""
_NUDGE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """The decisions of one pass over a gateway."""

    wanted: tuple[Manifest, ...] = ()
    changes: tuple[Change, ...] = ()
    conflicts: tuple[Refusal, ...] = ()
    in_force: bool = False
    """Whether every Envoy that is ready runs the wanted routes, and there is one."""
    routes: frozenset[tuple[str, str]] = frozenset()
    """Pools' uids and served names that the wanted configuration has routes for, less those of
    pools whose pods an Envoy has not found yet."""
    outcome: Outcome = field(default_factory=Done)


def living_pools(facts: GatewayFacts) -> tuple[InferencePool, ...]:
    """Return the pools that are not on their way out."""
    return tuple(pool for pool in facts.pools if pool.metadata.deletion_timestamp is None)


def wants_accounts(facts: GatewayFacts) -> bool:
    """Tell whether some pool accepts service accounts."""
    guards = (pool.spec.gateway.auth for pool in living_pools(facts) if pool.spec.gateway)
    return any(auth is not None and auth.service_accounts for auth in guards)


def render_gateway(facts: GatewayFacts, settings: Settings) -> Rendering:
    """Return the configuration that the namespace's pools ask for."""
    around = Surroundings(settings.cluster_domain, settings.operator_namespace)
    woken = pools_still_woken(facts)
    return render(
        facts.namespace, living_pools(facts), facts.models, around, facts.callers,
        still_woken=woken,
    )  # fmt: skip


def pools_still_woken(facts: GatewayFacts) -> frozenset[str]:
    """Return the pools that keep the activator until all Envoys say that they found them."""
    said = [facts.reports.get(pod.uid, EnvoyReport()) for pod in ready_pods(facts)]
    return still_woken(living_pools(facts), _config_map(facts), said)


def plan_gateway(facts: GatewayFacts, rendering: Rendering, settings: Settings) -> GatewayPlan:
    """Decide the next step; without pools there is none, Kubernetes removes what they owned."""
    pools = living_pools(facts)
    if not pools:
        return GatewayPlan()
    metadata = gateway_metadata(facts.namespace, pools)
    replicas, secret = gateway_replicas(pools), wanted_secret(facts)
    secured = secret is not None
    wanted: tuple[Manifest, ...] = (
        build_gateway_service(metadata, secured=secured),
        build_gateway_network_policy(
            metadata, settings.operator_namespace, _controllers(pools, settings), secured=secured
        ),
        *((build_gateway_disruption_budget(metadata),) if replicas > 1 else ()),
        *build_ingress(metadata, pools, secret),
        *_http_route(facts, metadata, settings),
    )
    if facts.refusal is not None:
        kept = plan_changes(wanted, facts.children, prune={kinds.DISRUPTION_BUDGETS.kind})
        return GatewayPlan(wanted, kept.changes, kept.refusals, routes=_routes(facts))
    ready = ready_pods(facts)
    said = {pod.uid: facts.reports.get(pod.uid, EnvoyReport()) for pod in ready}
    live = _config_map(facts)
    step = next_step(
        rendering,
        live,
        [report.versions for report in said.values()],
        patient=facts.patient,
    )
    wanted = (
        build_gateway_config_map(metadata, step),
        *wanted,
        build_gateway_deployment(metadata, rendering, settings.images.gateway, replicas, secret),
        *build_gateway_collector(facts.namespace, pools, facts.children, settings),
    )
    planned = plan_changes(wanted, facts.children, prune=PRUNED)
    want = wanted_report(facts, step)
    behind = [pod for pod in ready if said[pod.uid].versions != want.versions]
    in_force = bool(ready) and not behind and written_version(facts) == step.version
    settled = in_force and step.version == rendering.version
    settled = settled and all(want.reached <= each.reached for each in said.values())
    return GatewayPlan(
        wanted=wanted,
        changes=(*planned.changes, *_nudges(facts, step, behind)),
        conflicts=planned.refusals,
        in_force=in_force and step.routes == rendering.routes,
        routes=_routes(facts),
        outcome=_outcome(settings, settled=settled and not planned.changes, secured=secured),
    )


def _outcome(settings: Settings, *, settled: bool, secured: bool) -> Outcome:
    """Look again until all is in force; a certificate may be another or expire at any time."""
    if not settled:
        return Wait(settings.delays.gateway_poll)
    return Wait(settings.delays.certificate_poll) if secured else Done()


def _controllers(pools: Sequence[InferencePool], settings: Settings) -> Sequence[str]:
    """Return the namespaces from which requests come, where a pool asks for a way in."""
    exposed = any(exposure_of(pool) is not None for pool in pools)
    return settings.exposure.controller_namespaces if exposed else ()


def _http_route(
    facts: GatewayFacts, metadata: dict[str, Json], settings: Settings
) -> tuple[Manifest, ...]:
    parent = settings.exposure.gateway
    if parent is None or not facts.http_routes:
        return ()
    return build_http_route(metadata, living_pools(facts), parent)


def _config_map(facts: GatewayFacts) -> Manifest | None:
    return facts.children.manifests.get((kinds.CONFIG_MAPS.kind, names.GATEWAY))


def written_version(facts: GatewayFacts) -> str:
    """Return the version of what is written for Envoys to read; empty where nothing is."""
    return text(_config_map(facts), "metadata", "annotations", names.CONFIG_ANNOTATION) or ""


def wanted_secret(facts: GatewayFacts) -> str | None:
    """Return the Secret with the gateway's certificate, where some pool names one."""
    pool = certificate_pool(living_pools(facts))
    return secret_of(pool) if pool is not None else None


def wanted_report(facts: GatewayFacts, rendering: Rendering) -> EnvoyReport:
    """Return what every Envoy should say: the new version, and pods in each pool that has some."""
    having = (pool for pool in living_pools(facts) if pool.status.ready_replicas)
    return EnvoyReport(frozenset({rendering.version}), frozenset(map(pool_cluster_name, having)))


def _routes(facts: GatewayFacts) -> frozenset[tuple[str, str]]:
    return frozenset(
        (offer.pool.metadata.uid, offer.model.served_as)
        for served in served_by(living_pools(facts), facts.models)
        for offer in served.offers
        if _is_reached(offer.pool, facts)
    )


def _is_reached(pool: InferencePool, facts: GatewayFacts) -> bool:
    """Tell whether every Envoy has found the pool's pods, or there are to be none.

    Pods that are not there yet are still to be found: a pool is Ready as soon as they are.
    """
    effective = pool.status.effective
    if not pool.status.replicas and effective is not None and not effective.replicas:
        return True
    name, ready = pool_cluster_name(pool), ready_pods(facts)
    return all(name in facts.reports.get(pod.uid, EnvoyReport()).reached for pod in ready)


def ready_pods(facts: GatewayFacts) -> tuple[PodFact, ...]:
    """Return the Envoys that take requests."""
    return tuple(pod for pod in facts.pods if pod.ready and not pod.deleting)


def _nudges(facts: GatewayFacts, rendering: Rendering, behind: list[PodFact]) -> Iterator[Change]:
    """Touch the pods that run older files, so that their kubelets bring the new ones at once.

    Repeated every few seconds, because a kubelet may hear of the pod before it does of the files.
    """
    turn = int(facts.now.timestamp()) // _NUDGE_SECONDS
    value = f"{rendering.version}-{turn}"
    for pod in behind:
        if facts.nudges.get(pod.uid) != value:
            yield Apply(
                {
                    "apiVersion": kinds.PODS.api_version,
                    "kind": kinds.PODS.kind,
                    "metadata": {
                        "name": pod.name,
                        "namespace": facts.namespace,
                        "uid": pod.uid,
                        "annotations": {names.NUDGE_ANNOTATION: value},
                    },
                }
            )

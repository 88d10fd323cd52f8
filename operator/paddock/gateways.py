"""The conductor of a gateway's pass, and what pools learn from it. Decides nothing itself.

A gateway is no resource of its own: its key is a namespace, its status is in the pools'.
"""

from collections.abc import Mapping
from dataclasses import replace

import httpx

from paddock import kinds
from paddock.api.reasons import Reason
from paddock.apply.changes import apply_changes
from paddock.clock import Clock
from paddock.errors import PaddockError
from paddock.facts import Blocked, Done, EnvoyReport, GatewayFacts, GatewayState, Key, Outcome
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.observe.certificate import with_certificates
from paddock.observe.envoy import Judge
from paddock.observe.gateway import observe_gateway, with_reports
from paddock.observe.issuer import ClusterIssuer
from paddock.observe.warnings import Warnings
from paddock.plan.gateway.plan import (
    GatewayPlan,
    living_pools,
    plan_gateway,
    pools_still_woken,
    render_gateway,
    wanted_report,
    wanted_secret,
    wants_accounts,
    written_version,
)
from paddock.plan.gateway.rendering import Rendering
from paddock.settings import Settings
from paddock.status.gateway import state_of_gateway
from paddock.status.wording import shortened
from paddock.telemetry.spans import span


class Gateways:
    """Every namespace's gateway: its passes, and the state that pools tell."""

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        settings: Settings,
        clock: Clock,
        client: httpx.AsyncClient,
    ) -> None:
        self._cluster, self._cache, self._settings = cluster, cache, settings
        self._clock, self._client = clock, client
        self._warnings, self._judge = Warnings(cluster, clock), Judge()
        self._issuer = ClusterIssuer(cluster, clock)
        self._states: dict[str, GatewayState] = {}
        self._reports: dict[str, Mapping[str, EnvoyReport]] = {}
        """By namespace and pod uid, what an Envoy said last."""
        self._had: dict[str, frozenset[str]] = {}
        """By namespace, the clusters that had pods at some time."""
        self._since: dict[str, tuple[str, float]] = {}
        """By namespace, the version that is written, and since when it was seen so."""

    def state(self, namespace: str) -> GatewayState | None:
        """Return what is known of a namespace's gateway."""
        return self._states.get(namespace)

    def failed(self, namespace: str, error: PaddockError) -> None:
        """Keep that a pass could not be finished, for the pools to tell."""
        before = self._states.get(namespace)
        routes = before.routes if before else frozenset()
        words = f"{shortened(str(error))}."
        self._states[namespace] = GatewayState(
            ready=False, reason=Reason(error.reason), message=words, routes=routes
        )

    async def reconcile(self, namespace: str) -> Outcome:
        """Run one pass over a namespace's gateway."""
        with span("observe"):
            facts = await observe_gateway(namespace, self._warnings, self._cache, self._clock)
            if not living_pools(facts):
                self._forget(namespace)
                return Done()
            facts = await self._with_issuer(facts)
            facts, rendering = await self._rendered(facts)
            if wanted_secret(facts) is not None:
                facts = await with_certificates(facts, self._client)
        plan = plan_gateway(facts, rendering, self._settings)
        with span("apply"):
            refusals = await apply_changes(self._cluster, self._cache, plan.changes)
        if plan.changes:
            self._reports.pop(namespace, None)
        before = self._states.get(namespace)
        after = state_of_gateway(facts, plan, refusals, before)
        self._states[namespace] = after
        wake = _pools(facts) if after != before else ()
        refusals = (*plan.conflicts, *refusals)
        return Blocked(refusals, wake) if refusals else _woken(plan, wake)

    async def _with_issuer(self, facts: GatewayFacts) -> GatewayFacts:
        if not wants_accounts(facts):
            return facts
        return replace(facts, callers=replace(facts.callers, cluster=await self._issuer.issuer()))

    async def _rendered(self, facts: GatewayFacts) -> tuple[GatewayFacts, Rendering]:
        """Add what Envoys say; return it with what is wanted, which may hang on what they say."""
        rendering = render_gateway(facts, self._settings)
        waited_for = pools_still_woken(facts)
        facts = await self._asked(facts, rendering, afresh=bool(waited_for))
        if waited_for:
            rendering = render_gateway(facts, self._settings)
        return await self._judged(facts, rendering), rendering

    async def _asked(
        self, facts: GatewayFacts, rendering: Rendering, *, afresh: bool
    ) -> GatewayFacts:
        """Add what the Envoys that run say.

        What they said is trusted only while what is written is what is wanted: a change that is
        taken back wants what they ran before it.
        """
        written = written_version(facts)
        trusted = written == rendering.version and not afresh
        known = self._reports.get(facts.namespace, {}) if trusted else {}
        wanted = wanted_report(facts, rendering)
        had = self._had.get(facts.namespace, frozenset()) | wanted.reached
        self._had[facts.namespace] = had
        lost = had - wanted.reached
        facts = await with_reports(facts, self._client, known, wanted, lost=lost)
        self._reports[facts.namespace] = facts.reports
        return replace(facts, patient=self._is_patient(facts.namespace, written))

    async def _judged(self, facts: GatewayFacts, rendering: Rendering) -> GatewayFacts:
        """Add what an Envoy that only reads says of it, where it is new."""
        if written_version(facts) == rendering.version:
            return facts
        refusal = await self._judge.refusal(facts.namespace, rendering)
        return replace(facts, refusal=refusal)

    def _is_patient(self, namespace: str, written: str) -> bool:
        now = self._clock.monotonic()
        version, since = self._since.get(namespace, ("", now))
        if version != written:
            version, since = written, now
        self._since[namespace] = version, since
        return now - since < self._settings.delays.gateway_patience

    def _forget(self, namespace: str) -> None:
        self._states.pop(namespace, None)
        self._reports.pop(namespace, None)
        self._had.pop(namespace, None)
        self._since.pop(namespace, None)
        self._judge.forget(namespace)


def _pools(facts: GatewayFacts) -> tuple[Key, ...]:
    return tuple(
        Key(kinds.INFERENCE_POOLS.plural, facts.namespace, pool.metadata.name)
        for pool in facts.pools
    )


def _woken(plan: GatewayPlan, wake: tuple[Key, ...]) -> Outcome:
    return replace(plan.outcome, wake=wake)

"""The conductor of one pass: observe, plan, apply, status. Decides nothing itself."""

from dataclasses import replace
from typing import TypeAlias

import httpx

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool, InferencePoolStatus
from paddock.api.localmodel import LocalModel, LocalModelStatus
from paddock.apply.changes import apply_changes
from paddock.apply.events import record_event
from paddock.apply.finalizers import apply_finalizers
from paddock.apply.status import write_status
from paddock.clock import Clock
from paddock.errors import PaddockError
from paddock.facts import Blocked, DemandHistory, Done, Key, Kind, Outcome, Refusal, Wait
from paddock.gateways import Gateways
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.observe.model import observe_model
from paddock.observe.pool import PoolMemory, observe_pool
from paddock.observe.warnings import Warnings
from paddock.plan.model import plan_model
from paddock.plan.pool import plan_pool
from paddock.settings import Settings
from paddock.status.failure import with_failure
from paddock.status.happenings import happening
from paddock.status.model import status_of_model
from paddock.status.passing import told_status
from paddock.status.pool import status_of_pool
from paddock.telemetry.objects import ObjectMeasures
from paddock.telemetry.spans import span

_Subject: TypeAlias = LocalModel | InferencePool
_Status: TypeAlias = LocalModelStatus | InferencePoolStatus


class Conductor:
    """Runs passes with what one operator process has: a cluster, its cache, settings, a clock."""

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        settings: Settings,
        clock: Clock,
        client: httpx.AsyncClient,
        measures: ObjectMeasures,
    ) -> None:
        self._cluster, self._cache, self._settings = cluster, cache, settings
        self._clock, self._client, self._measures = clock, client, measures
        self._warnings = Warnings(cluster, clock)
        self._memories: dict[Key, PoolMemory] = {}
        self._histories: dict[Key, DemandHistory | None] = {}
        self._unsaid: dict[Key, float | None] = {}
        """By pool, since when its status differs from what was told, where it does."""
        self._gateways = Gateways(cluster, cache, settings, clock, client)

    async def __call__(self, key: Key) -> Outcome:
        """Run one pass over the object of a key; an object that is gone is done."""
        if key.plural == names.GATEWAYS:
            return await self._gateways.reconcile(key.namespace)
        if key.plural == names.WARNINGS:
            return await self._warnings.look(key.namespace)
        if key.plural == kinds.LOCAL_MODELS.plural:
            return await self._reconcile_model(key)
        return await self._reconcile_pool(key)

    async def report_failure(self, key: Key, error: PaddockError) -> None:
        """Tell in the status that a pass could not be finished."""
        now = self._clock.now()
        if key.plural == names.GATEWAYS:
            self._gateways.failed(key.namespace, error)
        if key.plural in (names.GATEWAYS, names.WARNINGS):
            return
        if key.plural == kinds.LOCAL_MODELS.plural:
            model = self._model(key)
            if model is not None:
                generation = model.metadata.generation
                after = with_failure(model.status, error, generation=generation, now=now)
                await self._tell(kinds.LOCAL_MODELS, model, after)
            return
        pool = self._pool(key)
        if pool is not None:
            generation = pool.metadata.generation
            after_pool = with_failure(pool.status, error, generation=generation, now=now)
            await self._tell(kinds.INFERENCE_POOLS, pool, after_pool)

    async def _tell(self, kind: Kind, subject: _Subject, after: _Status) -> None:
        """Write the status if it changed, then the event that its change is worth.

        An object that became Ready is taken note of.
        """
        metadata, before = subject.metadata, subject.status
        with span("status"):
            wrote = await write_status(
                self._cluster, self._cache, kind, metadata, before=before, after=after
            )
        now = self._clock.now()
        self._measures.note_conditions(
            kind, metadata, before=before.conditions, after=after.conditions, now=now
        )
        told = happening(before.conditions, after.conditions) if wrote else None
        if told is not None:
            await record_event(self._cluster, kind, metadata, told, now=now)

    def _model(self, key: Key) -> LocalModel | None:
        manifest = self._cache.get(kinds.LOCAL_MODELS, key.namespace, key.name)
        return LocalModel.model_validate(manifest) if manifest is not None else None

    def _pool(self, key: Key) -> InferencePool | None:
        manifest = self._cache.get(kinds.INFERENCE_POOLS, key.namespace, key.name)
        return InferencePool.model_validate(manifest) if manifest is not None else None

    async def _reconcile_model(self, key: Key) -> Outcome:
        model = self._model(key)
        if model is None:
            self._measures.note_progress(key, None)
            self._warnings.known(key, ())
            return Done()
        with span("observe"):
            facts = await observe_model(
                model,
                self._cluster,
                self._cache,
                warnings=self._warnings,
                clock=self._clock,
                client=self._client,
            )
        self._measures.note_progress(key, facts.progress)
        with span("plan"):
            plan = plan_model(facts, self._settings)
        with span("apply"):
            refusals = await apply_changes(self._cluster, self._cache, plan.changes)
            if plan.finalizers is not None:
                await apply_finalizers(
                    self._cluster,
                    self._cache,
                    kinds.LOCAL_MODELS,
                    model.metadata,
                    plan.finalizers,
                )
        refusals = (*plan.conflicts, *refusals)
        after = status_of_model(facts, plan, refusals)
        if plan.finalizers is None or model.metadata.deletion_timestamp is None:
            await self._tell(kinds.LOCAL_MODELS, model, after)
        return replace(_outcome(plan.outcome, refusals), wake=self._warnings.looked_for(key))

    async def _reconcile_pool(self, key: Key) -> Outcome:
        pool = self._pool(key)
        if pool is None:
            self._memories.pop(key, PoolMemory()).proofs.forget()
            self._histories.pop(key, None)
            self._unsaid.pop(key, None)
            self._measures.loads.forget(key)
            return Done()
        memory = self._memories.setdefault(key, PoolMemory())
        with span("observe"):
            facts = await observe_pool(
                pool, self._warnings, self._cache, self._clock, self._client, memory
            )
        self._measures.loads.note(key, facts)
        facts = replace(
            facts,
            history=self._histories.get(key),
            gateway=self._gateways.state(key.namespace),
        )
        with span("plan"):
            plan = plan_pool(facts, self._settings)
        self._histories[key] = plan.decision.history if plan.decision else None
        with span("apply"):
            refusals = await apply_changes(self._cluster, self._cache, plan.changes)
        patience = self._settings.delays.passing
        after, self._unsaid[key] = told_status(
            pool.status,
            status_of_pool(facts, plan, refusals),
            since=self._unsaid.get(key),
            now=facts.moment,
            patience=patience,
        )
        await self._tell(kinds.INFERENCE_POOLS, pool, after)
        outcome = _outcome(plan.outcome, refusals)
        return outcome if self._unsaid[key] is None else _soon(outcome, patience)


def _soon(outcome: Outcome, seconds: float) -> Outcome:
    """Come again in so many seconds at the latest, for what is unsaid."""
    planned = outcome.seconds if isinstance(outcome, Wait) else seconds
    return Wait(min(planned, seconds), outcome.wake)


def _outcome(planned: Outcome, refusals: tuple[Refusal, ...]) -> Outcome:
    return Blocked(refusals) if refusals else planned

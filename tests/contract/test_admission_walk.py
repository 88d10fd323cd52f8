"""Whatever is written into whichever field, a user is told: by the apiserver or by the status.

Walks every field of both kinds over the real apiserver (dry run). A value is refused with the
field's path, or taken; then the plan and its children are made, and the status comes to Ready or
says what is wrong. Nothing raises, nothing stays on the way for ever.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio
from kubernetes.aio.client import ApiClient, Configuration

from paddock import kinds, names
from paddock.api.crds import (
    MODEL_RULES,
    POOL_RULES,
    build_inference_pool_crd,
    build_local_model_crd,
)
from paddock.api.inferencepool import InferencePool, needed_models
from paddock.api.localmodel import LocalModel
from paddock.apply.changes import apply_changes
from paddock.errors import InvalidError
from paddock.facts import Change, JobFact, Kind, ModelFacts, PoolFacts, Refusal
from paddock.kube.cache import Cache
from paddock.kube.credentials import load_credentials
from paddock.kube.real import RealCluster
from paddock.local.control_plane import ControlPlane
from paddock.plan.model import plan_model
from paddock.plan.pool import plan_pool
from paddock.plan.pull_job import pull_hash
from paddock.settings import Settings
from paddock.status.model import status_of_model
from paddock.status.pool import status_of_pool
from paddock.wire import Json, Manifest
from support.announce import Announce
from support.objects import DIGEST, NOW, result_text
from support.pools import serving, settled
from support.rules import check_status
from support.schema_walk import Field, fields_of, values_for, with_value
from support.stores import ready_model

pytestmark = pytest.mark.contract
SETTINGS = Settings()
AT_ONCE = 8
Case = tuple[Field, Any]
RULES = {rule.message for rule in (*MODEL_RULES, *POOL_RULES)}
MODEL: dict[str, Any] = {"source": "https://models.example.com/tiny.gguf"}
POOL: dict[str, Any] = {"models": [{"name": "a"}]}
ENGINES = ("LlamaCpp", "Ollama", "VLLM")


class DryRun(RealCluster):
    """A cluster that decides about every write, and keeps none."""

    async def _write(
        self,
        method: str,
        path: str,
        body: Json,
        content_type: str = "application/json",
        *,
        ungated: bool = False,
    ) -> Manifest:
        joint = "&" if "?" in path else "?"
        asked = f"{path}{joint}dryRun=All&fieldValidation=Strict"
        return await super()._write(method, asked, body, content_type, ungated=ungated)


@dataclass
class Walk:
    """One walk over one kind: what is tried, and what came of it."""

    cluster: DryRun
    namespace: str
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    known: dict[str, tuple[Refusal, ...]] = field(default_factory=dict)
    """Refusals of children by their content: many values give the same children."""

    async def over(self, ground: "Ground", cases: Sequence[Case]) -> list[Case]:
        """Try every value in its field; return the cases that the apiserver takes."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def taken(case: Case) -> bool:
            async with gate:
                return await self._try(ground, case)

        found = await asyncio.gather(*(taken(case) for case in cases))
        return [case for case, taken in zip(cases, found, strict=True) if taken]

    async def _try(self, ground: "Ground", case: Case) -> bool:
        where, value = case
        subject: Manifest = {
            "apiVersion": names.API_VERSION,
            "kind": ground.kind.kind,
            "metadata": {"name": "walk", "namespace": self.namespace},
            "spec": with_value(ground.base, ground.schema, where.path[1:], value),
        }
        try:
            taken = await self.cluster.create(ground.kind, self.namespace, subject)
        except InvalidError as error:
            self.counts["refused"] += 1
            if not names_field(str(error), where):
                self._blame(where, value, f"refused without its path: {error}")
            return False
        await self._judge(ground, case, taken)
        return True

    async def _judge(self, ground: "Ground", case: Case, taken: Manifest) -> None:
        where, value = case
        try:
            verdict = await ground.judge(self, taken)
        except Exception as error:  # noqa: BLE001 - a crash is what is looked for
            verdict = f"raised {type(error).__name__}: {error}"
        self.counts[verdict] += 1
        if verdict not in ("ready", "told"):
            self._blame(where, value, verdict)

    def _blame(self, where: Field, value: Any, verdict: str) -> None:
        self.wrong.append(f"{where.dotted} = {json.dumps(value)[:80]}: {verdict[:300]}")

    async def refusals(self, changes: tuple[Change, ...]) -> tuple[Refusal, ...]:
        """Have the apiserver judge the children, each content once."""
        found: list[Refusal] = []
        for change in changes:
            content = repr(change)
            if content not in self.known:
                cache = Cache((*kinds.OWN, *kinds.WATCHED_CHILDREN))
                self.known[content] = await apply_changes(self.cluster, cache, [change])
            found += self.known[content]
        return tuple(found)


@dataclass(frozen=True)
class Ground:
    """What is walked over: a kind, its schema, a spec to start from, and who judges."""

    kind: Kind
    schema: Mapping[str, Any]
    base: Mapping[str, Any]
    judge: Callable[[Walk, Manifest], Awaitable[str]]

    def cases(self) -> list[Case]:
        return [
            (each, value) for each in fields_of(self.schema) for value in values_for(each.schema)
        ]


def names_field(message: str, where: Field) -> bool:
    """Tell whether a refusal leads to the field: its path, that of a child, or a rule's words."""
    return where.dotted in message or any(rule in message for rule in RULES)


async def judge_model(walk: Walk, taken: Manifest) -> str:
    """Return ready or told, or what is wrong with the verdict."""
    subject = LocalModel.model_validate(taken)
    facts = ModelFacts(model=subject, now=NOW)
    plan = plan_model(facts, SETTINGS)
    refusals = (*plan.conflicts, *await walk.refusals(plan.changes))
    status = status_of_model(facts, plan, refusals)
    check_status(status, generation=subject.metadata.generation)
    if plan.refusal or refusals:
        return "told" if is_stalled(status) else "neither Ready-able nor Stalled"
    claim = plan.claim_name
    done = JobFact(
        name=names.pull_job_name(subject.metadata.name, pull_hash(subject, claim)),
        uid="job", resource_version="1", purpose="pull", complete=True, result=result_text(),
        finished_at=NOW,
    )  # fmt: skip
    facts = replace(facts, jobs=(done,))
    status = status_of_model(facts, plan_model(facts, SETTINGS), ())
    check_status(status, generation=subject.metadata.generation)
    return "ready" if is_ready(status) else "does not become Ready"


async def judge_pool(walk: Walk, taken: Manifest) -> str:
    """Return ready or told, or what is wrong with the verdict."""
    subject = InferencePool.model_validate(taken)
    models = {name: ready_model(name, DIGEST) for name in needed_models(subject.spec)}
    facts = PoolFacts(pool=subject, now=NOW, models=models, gateway=serving(subject))
    plan = plan_pool(facts, SETTINGS)
    refusals = (*plan.conflicts, *await walk.refusals(plan.changes))
    status = status_of_pool(facts, plan, refusals)
    check_status(status, generation=subject.metadata.generation)
    if plan.refused or refusals:
        return "told" if is_stalled(status) else "neither Ready-able nor Stalled"
    whole = replace(settled(facts), exportable=True)
    again = plan_pool(whole, SETTINGS)
    pods = tuple(replace(pod, revision=again.revision) for pod in whole.pods)
    status = status_of_pool(replace(whole, pods=pods), again, ())
    check_status(status, generation=subject.metadata.generation)
    return "ready" if is_ready(status) else "does not become Ready"


def is_stalled(status: Any) -> bool:
    return any(each.type == "Stalled" for each in status.conditions)


def is_ready(status: Any) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in status.conditions)


@pytest_asyncio.fixture
async def walk(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Walk]:
    configuration = Configuration()
    await load_credentials(configuration, str(control_plane.kubeconfig))
    cluster = DryRun(ApiClient(configuration))
    yield Walk(cluster, namespace)
    await cluster.close()


def spec_of(crd: Manifest) -> Mapping[str, Any]:
    whole: Any = crd
    found: Mapping[str, Any] = whole["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(found["properties"]["spec"])


def reported(walk: Walk, what: str, since: float, announce: Announce) -> None:
    """Print what was tried, and fail with all that is wrong."""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(walk.counts.items()))
    line = f"{what}: {walk.counts.total()} values in {time.monotonic() - since:.1f} s: {counts}"
    announce(line)
    assert not walk.wrong, f"{len(walk.wrong)} wrong\n" + "\n".join(walk.wrong)


async def test_whatever_a_model_holds_is_refused_with_its_path_or_judged(
    walk: Walk, announce: Announce
) -> None:
    since = time.monotonic()
    ground = Ground(kinds.LOCAL_MODELS, spec_of(build_local_model_crd()), MODEL, judge_model)
    await walk.over(ground, ground.cases())
    reported(walk, "LocalModel", since, announce)
    assert walk.counts.total() > 1000


async def test_whatever_a_pool_holds_is_refused_with_its_path_or_judged(
    walk: Walk, announce: Announce
) -> None:
    """What the apiserver takes of one engine is judged for the others too."""
    since = time.monotonic()
    grounds = [
        Ground(
            kinds.INFERENCE_POOLS,
            spec_of(build_inference_pool_crd()),
            {**POOL, "engine": {"name": engine}},
            judge_pool,
        )
        for engine in ENGINES
    ]
    taken = await walk.over(grounds[0], grounds[0].cases())
    for ground in grounds[1:]:
        await walk.over(ground, [case for case in taken if case[0].dotted != "spec.engine"])
    reported(walk, "InferencePool", since, announce)
    assert walk.counts.total() > 1000

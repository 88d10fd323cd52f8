"""An operator process with short delays, and on wish a toy reconciler.

The toy keeps one ConfigMap and one status per LocalModel. Run as a program by the loop's tests.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import paddock.lean  # noqa: F401 - the operator's command starts like this
from paddock import kinds, names
from paddock.api.base import ObjectMeta
from paddock.api.localmodel import LocalModel
from paddock.api.reasons import ConditionType, Reason
from paddock.apply.changes import apply_changes
from paddock.apply.status import write_status
from paddock.clock import SystemClock
from paddock.errors import PaddockError
from paddock.facts import Blocked, Children, Done, Key, Outcome, Refusal
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.plan.changes import plan_changes
from paddock.plan.owner import child_labels, owner_references
from paddock.run import run_operator
from paddock.settings import Delays, Settings
from paddock.status.conditions import Verdict, false, merge, true
from paddock.status.failure import with_failure
from paddock.status.refusals import diagnose_refusal
from paddock.telemetry.logs import configure
from paddock.wire import Manifest

CLOCK = SystemClock()


class Toy:
    """Keeps one ConfigMap that repeats the model's source."""

    def __init__(self, cluster: Cluster, cache: Cache) -> None:
        self._cluster, self._cache = cluster, cache

    async def __call__(self, key: Key) -> Outcome:
        model = self._model(key)
        if model is None or model.metadata.deletion_timestamp is not None:
            return Done()
        live = {
            (str(child["kind"]), _name(child)): child
            for child in self._cache.children_of(model.metadata.uid)
        }
        plan = plan_changes(
            [build_child(model.metadata, model.spec.source)], Children(live), prune=["ConfigMap"]
        )
        refusals = await apply_changes(self._cluster, self._cache, plan.changes)
        conditions = merge(
            model.status.conditions,
            _verdicts(model.spec.source, refusals),
            generation=model.metadata.generation,
            now=CLOCK.now(),
        )
        after = model.status.model_copy(
            update={"conditions": conditions, "observed_generation": model.metadata.generation}
        )
        await write_status(
            self._cluster, self._cache, kinds.LOCAL_MODELS, model.metadata,
            before=model.status, after=after,
        )  # fmt: skip
        return Blocked(refusals) if refusals else Done()

    async def report_failure(self, key: Key, error: PaddockError) -> None:
        model = self._model(key)
        if model is not None:
            after = with_failure(
                model.status, error, generation=model.metadata.generation, now=CLOCK.now()
            )
            await write_status(
                self._cluster, self._cache, kinds.LOCAL_MODELS, model.metadata,
                before=model.status, after=after,
            )  # fmt: skip

    def _model(self, key: Key) -> LocalModel | None:
        if key.plural != kinds.LOCAL_MODELS.plural:
            return None
        manifest = self._cache.get(kinds.LOCAL_MODELS, key.namespace, key.name)
        return None if manifest is None else LocalModel.model_validate(manifest)


def _verdicts(source: str, refusals: Sequence[Refusal]) -> tuple[Verdict, ...]:
    if not refusals:
        named = source.partition("?")[0].rpartition("@")[2]  # a status holds no credential
        return (true(ConditionType.READY, Reason.READY, f"The child holds {named}."),)
    why = refusals[0].reason, diagnose_refusal(refusals[0]).cause
    return false(ConditionType.READY, *why), true(ConditionType.STALLED, *why)


def build_child(owner: ObjectMeta, source: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.fitted_name(owner.name, "toy"),
            "namespace": owner.namespace,
            "labels": child_labels(owner, kinds.LOCAL_MODELS, "toy"),
            "ownerReferences": owner_references(owner, kinds.LOCAL_MODELS),
        },
        "data": {"source": source},
    }


def _name(manifest: Any) -> str:
    return str(manifest["metadata"]["name"])


def main(kubeconfig: str, wishes: dict[str, Any]) -> None:
    """Run until SIGTERM; `wishes` replace settings, its "delays" replace delays."""
    configure()
    toy = wishes.pop("toy")
    delays = replace(Delays(), **wishes.pop("delays", {}))
    settings = replace(
        Settings(identity=f"toy_{os.getpid()}", health_port=0), delays=delays, **wishes
    )
    asyncio.run(run_operator(settings, kubeconfig, Toy if toy else None))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))

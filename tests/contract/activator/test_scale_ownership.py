"""Who owns a Deployment's replicas, on a real apiserver: nobody's number is reset or fought."""

import json
from contextlib import suppress
from typing import Any

import pytest

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.apply.changes import apply_changes
from paddock.errors import ConflictError, InvalidError
from paddock.facts import Children, PoolFacts
from paddock.kube.cache import Cache
from paddock.kube.real import RealCluster
from paddock.local.control_plane import ControlPlane
from paddock.observe.objects import deployment_fact
from paddock.plan.pool import plan_pool
from paddock.settings import Settings
from paddock.wire import Json, Manifest
from support.objects import NOW
from support.plane import kubectl
from support.stores import ready_model

pytestmark = pytest.mark.contract
DIGEST = f"sha256:{'a' * 64}"
_MOST_PASSES = 20
NO_SCALE = (
    "the HPA controller was unable to get the target's current scale: Internal error occurred: "
    'the spec replicas field ".spec.replicas" does not exist'
)


class Subject:
    """One pool of a real apiserver, and the passes over it."""

    def __init__(self, cluster: RealCluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    async def declare(self, **spec: Json) -> None:
        await self.cluster.apply(
            {
                "apiVersion": "paddock.dev/v1alpha1",
                "kind": "InferencePool",
                "metadata": {"name": "chat", "namespace": self.namespace},
                "spec": {"engine": {"name": "LlamaCpp"}, "models": [{"name": "alpha"}], **spec},
            }
        )

    async def settle(self) -> int:
        """Run passes until one changes nothing; return how many wrote.

        One that finds a newer version comes again, as it would in the operator.
        """
        wrote = 0
        for _ in range(_MOST_PASSES):
            changes = plan_pool(await self._facts(), Settings()).changes
            if not changes:
                return wrote
            with suppress(ConflictError):
                refusals = await apply_changes(self.cluster, Cache(kinds.ALL), changes)
                assert refusals == ()
                wrote += 1
        raise AssertionError("the passes never settled")

    async def replicas(self) -> int:
        return deployment_fact(await self._live()).asked

    async def _live(self) -> Manifest:
        found = await self.cluster.get(kinds.DEPLOYMENTS, self.namespace, "chat")
        assert found is not None
        return found

    async def _facts(self) -> PoolFacts:
        pool = await self.cluster.get(kinds.INFERENCE_POOLS, self.namespace, "chat")
        found = {
            (kind.kind, "chat"): await self.cluster.get(kind, self.namespace, "chat")
            for kind in kinds.POOL_CHILDREN
        }
        live = {key: manifest for key, manifest in found.items() if manifest is not None}
        deployment = live.get(("Deployment", "chat"))
        return PoolFacts(
            pool=InferencePool.model_validate(pool),
            now=NOW,
            children=Children(live),
            models={"alpha": ready_model("alpha", DIGEST)},
            deployment=deployment_fact(deployment) if deployment else None,
        )


@pytest.fixture
def subject(cluster: RealCluster, namespace: str) -> Subject:
    return Subject(cluster, namespace)


async def test_pool_of_at_least_none_starts_with_none(subject: Subject) -> None:
    await subject.declare(scaling={"min": 0})
    await subject.settle()
    assert await subject.replicas() == 0


async def test_replicas_given_by_another_stay_and_cost_no_write(
    subject: Subject, control_plane: ControlPlane
) -> None:
    await subject.declare(scaling={"min": 0})
    await subject.settle()
    kubectl(control_plane, "-n", subject.namespace, "scale", "deployment/chat", "--replicas=1")
    assert (await subject.settle(), await subject.replicas()) == (0, 1)
    await subject.declare(scaling={"min": 0}, serving={"parallel": 2})
    assert (await subject.settle(), await subject.replicas()) == (1, 1)


async def test_too_few_replicas_are_raised_to_the_least(
    subject: Subject, control_plane: ControlPlane
) -> None:
    await subject.declare(scaling={"min": 2})
    await subject.settle()
    kubectl(control_plane, "-n", subject.namespace, "scale", "deployment/chat", "--replicas=0")
    await subject.settle()
    assert await subject.replicas() == 2


async def test_pool_that_begins_to_scale_keeps_the_replicas_it_has(subject: Subject) -> None:
    await subject.declare(replicas=3)
    await subject.settle()
    await subject.declare(scaling={"min": 0})
    await subject.settle()
    assert await subject.replicas() == 3
    await subject.declare(replicas=2)
    await subject.settle()
    assert await subject.replicas() == 2
    await subject.declare(scaling={})
    await subject.settle()
    assert await subject.replicas() == 2


async def test_stale_view_of_a_woken_pool_scales_nothing(
    subject: Subject, cluster: RealCluster, control_plane: ControlPlane
) -> None:
    await subject.declare(scaling={"min": 0})
    await subject.settle()
    live: Any = await cluster.get(kinds.DEPLOYMENTS, subject.namespace, "chat")
    version = live["metadata"]["resourceVersion"]
    kubectl(control_plane, "-n", subject.namespace, "scale", "deployment/chat", "--replicas=1")
    with pytest.raises(ConflictError, match="modified"):
        await cluster.scale(
            kinds.DEPLOYMENTS, subject.namespace, "chat", replicas=0, resource_version=version
        )
    assert await subject.replicas() == 1


async def test_scale_of_the_pool_is_refused_with_what_to_do(
    subject: Subject, control_plane: ControlPlane
) -> None:
    await subject.declare(scaling={"min": 0})
    with pytest.raises(Exception, match="leave out scaling"):
        kubectl(control_plane, "-n", subject.namespace, "scale", "ipool/chat", "--replicas=2")
    with pytest.raises(InvalidError, match="leave out scaling"):
        await subject.declare(scaling={"min": 0}, replicas=1)
    await subject.declare(replicas=1)
    kubectl(control_plane, "-n", subject.namespace, "scale", "ipool/chat", "--replicas=2")


def autoscale(plane: ControlPlane, namespace: str) -> None:
    """Have a real autoscaler, which reads no metric below its least, keep the pool at two."""
    target = {"apiVersion": names.API_VERSION, "kind": names.INFERENCE_POOL, "name": "chat"}
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4},
    }
    kubectl(plane, "apply", "-f", "-", stdin=json.dumps(autoscaler))


async def test_autoscaler_writes_the_pool_and_the_operator_follows(
    subject: Subject, control_plane: ControlPlane
) -> None:
    await subject.declare(replicas=1)
    await subject.settle()
    autoscale(control_plane, subject.namespace)
    own = ("-n", subject.namespace)
    scaled = "--for=jsonpath={.spec.replicas}=2"
    kubectl(control_plane, *own, "wait", scaled, "ipool/chat", "--timeout=90s")
    await subject.settle()

    assert await subject.replicas() == 2
    assert await subject.settle() == 0


async def test_autoscaler_leaves_a_pool_alone_that_scales_by_demand(
    subject: Subject, control_plane: ControlPlane
) -> None:
    await subject.declare(scaling={"min": 0})
    await subject.settle()
    autoscale(control_plane, subject.namespace)
    own = ("-n", subject.namespace)
    said = f"--for=jsonpath={{.status.conditions[?(@.type=='AbleToScale')].message}}={NO_SCALE}"
    kubectl(control_plane, *own, "wait", said, "hpa/chat", "--timeout=90s")
    assert (await subject.replicas(), await subject.settle()) == (0, 0)

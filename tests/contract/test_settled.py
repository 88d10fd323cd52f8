"""What we apply and what a real apiserver makes of it: applied once, settled; drift is seen."""

import asyncio
import time
from typing import Any

import pytest

from paddock import names
from paddock.facts import Apply, Children, PoolFacts
from paddock.kinds import ALL, DEPLOYMENTS, SERVICES, kind_of
from paddock.kube.real import RealCluster
from paddock.plan.changes import plan_changes
from paddock.plan.claim import build_claim
from paddock.plan.gateway.collector import build_gateway_collector
from paddock.plan.pool import plan_pool
from paddock.plan.pull_job import build_pull_job
from paddock.settings import Settings
from paddock.wire import Manifest
from support.objects import NOW, model, pool

pytestmark = pytest.mark.contract
HARDWARE = {
    "gpus": 1,
    "memory": "1024Mi",
    "cpu": "1000m",
    "gpuTypes": ["a100"],
    "nodeSelector": {"zone": "a"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
}
DEADLINE, _POLL = 120.0, 0.1
TELEMETRY = {"collector": "Managed", "otlp": {"endpoint": "https://otel.example.com"}}


def wanted_objects(namespace: str) -> list[Manifest]:
    """Return every kind of child we make, with as many fields set as there are."""
    subject = model(
        ready=True,
        storage={"size": "1.5Gi", "retain": "Delete"},
        credentials={"secretName": "token"},
        pull={"nodeSelector": {"zone": "a"}, "tolerations": [{"operator": "Exists"}]},
    )
    found: list[Manifest] = [
        build_claim(subject, owned=True),
        build_pull_job(subject, Settings(), claim="c", locked_digest=None, max_bytes=None),
    ]
    for engine, models in (("LlamaCpp", ["a", "b"]), ("Ollama", ["a"]), ("VLLM", ["a"])):
        listed = [{"name": name} for name in models]
        serving = pool(engine, listed, replicas=2, hardware=HARDWARE, telemetry=TELEMETRY)
        facts = PoolFacts(
            pool=serving, now=NOW, models={name: model(name, ready=True) for name in models}
        )
        plan = plan_pool(facts, Settings())
        assert plan.refused == ()
        found += [renamed(each, engine.lower()) for each in plan.wanted]
    found += collector_objects(namespace)
    return [placed(each, namespace) for each in found]


def collector_objects(namespace: str, children: Children = Children()) -> tuple[Manifest, ...]:  # noqa: B008 - frozen and empty
    asking = pool("LlamaCpp", [{"name": "a"}], telemetry=TELEMETRY)
    return build_gateway_collector(namespace, [asking], children, Settings())


def renamed(manifest: Manifest, name: str) -> Manifest:
    metadata: Any = manifest["metadata"]
    part = "-collector" if metadata["name"].endswith("-collector") else ""
    return {**manifest, "metadata": {**metadata, "name": f"{name}{part}"}}


def placed(manifest: Manifest, namespace: str) -> Manifest:
    metadata: Any = manifest["metadata"]
    without_owner = {key: value for key, value in metadata.items() if key != "ownerReferences"}
    return {**manifest, "metadata": {**without_owner, "namespace": namespace}}


async def applied(cluster: RealCluster, wanted: list[Manifest]) -> Children:
    live = {}
    for change in plan_changes(wanted, Children()).changes:
        assert isinstance(change, Apply)
        answer: Any = await cluster.apply(change.manifest)
        live[str(change.manifest["kind"]), answer["metadata"]["name"]] = answer
    return Children(live)


async def test_applied_children_are_settled(cluster: RealCluster, namespace: str) -> None:
    wanted = wanted_objects(namespace)
    children = await applied(cluster, wanted)
    assert {str(each["kind"]) for each in wanted} >= {
        "Deployment", "Service", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget",
        "PersistentVolumeClaim", "Job",
    }  # fmt: skip
    again = plan_changes(wanted, children)
    assert [change for change in again.changes if isinstance(change, Apply)] == []
    assert again.refusals == ()


async def test_collectors_service_goes_with_the_deployment_that_owns_it(
    cluster: RealCluster, namespace: str
) -> None:
    first = [placed(each, namespace) for each in collector_objects(namespace)]
    children = await applied(cluster, first)
    (service,) = [each for each in collector_objects(namespace, children)
                  if each["kind"] == "Service"]  # fmt: skip
    live: Any = await cluster.apply(service)
    owner: Any = children.manifests["Deployment", names.GATEWAY_COLLECTOR]
    assert await cluster.get(SERVICES, namespace, names.GATEWAY_COLLECTOR)
    uid = owner["metadata"]["uid"]
    await cluster.delete(DEPLOYMENTS, namespace, names.GATEWAY_COLLECTOR, uid=uid)

    deadline = time.monotonic() + DEADLINE
    while await cluster.get(SERVICES, namespace, names.GATEWAY_COLLECTOR):
        assert time.monotonic() < deadline, "never: the Service is gone"
        await asyncio.sleep(_POLL)
    assert live["metadata"]["ownerReferences"][0]["uid"] == uid


DRIFTS: list[tuple[str, str, Any]] = [
    ("Deployment", "llamacpp", {"spec": {"replicas": 5}}),
    ("Deployment", "llamacpp", {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}}}),
    ("Deployment", "llamacpp", {"metadata": {"labels": {"paddock.dev/owner-uid": "x"}}}),
    ("Service", "ollama", {"spec": {"selector": {"paddock.dev/pool": "other"}}}),
    ("ConfigMap", "llamacpp", {"data": {"models.ini": "changed"}}),
    ("NetworkPolicy", "ollama", {"spec": {"policyTypes": ["Ingress"]}}),
    ("PodDisruptionBudget", "ollama", {"spec": {"maxUnavailable": 0}}),
]


@pytest.mark.parametrize(("kind", "name", "drift"), DRIFTS)
async def test_drift_of_an_owned_field_is_seen(
    cluster: RealCluster, namespace: str, kind: str, name: str, drift: dict[str, Any]
) -> None:
    wanted = [each for each in wanted_objects(namespace) if each["kind"] == kind]
    children = await applied(cluster, wanted)
    live: Any = children.manifests[kind, name]
    changed = merged(live, drift)
    again = plan_changes(wanted, Children({**children.manifests, (kind, name): changed}))
    assert again.changes or again.refusals


async def test_foreign_fields_are_left_alone(cluster: RealCluster, namespace: str) -> None:
    wanted = [each for each in wanted_objects(namespace) if each["kind"] == "Service"]
    children = await applied(cluster, wanted)
    live: Any = children.manifests["Service", "ollama"]
    added = merged(live, {"metadata": {"annotations": {"somebody.else/note": "kept"}}})
    again = plan_changes(wanted, Children({**children.manifests, ("Service", "ollama"): added}))
    assert again.changes == ()


async def test_applying_the_same_again_changes_no_version(
    cluster: RealCluster, namespace: str
) -> None:
    (wanted,) = [
        each
        for each in wanted_objects(namespace)
        if each["kind"] == "Service" and _name(each) == "ollama"
    ]
    first, second = [await cluster.apply(wanted) for _ in range(2)]
    assert _version(first) == _version(second)


def _name(manifest: Any) -> str:
    return str(manifest["metadata"]["name"])


def _version(manifest: Any) -> str:
    return str(manifest["metadata"]["resourceVersion"])


def merged(live: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    return {**live, **{key: merged(live.get(key, {}), value) for key, value in patch.items()}}


def test_every_applied_kind_is_known() -> None:
    assert {kind_of(each) for each in wanted_objects("n")} <= set(ALL)

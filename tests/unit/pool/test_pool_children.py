"""The children of pools, whole, against golden files; and what any change of a pool may touch."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from paddock.api.inferencepool import EngineName
from paddock.facts import PoolFacts
from paddock.kinds import POOL_CHILDREN
from paddock.plan.pool import plan_pool
from paddock.raw import at, items
from paddock.wire import Json, Manifest
from support.golden import check_golden
from support.pools import DIGEST, OTHER_DIGEST, SETTINGS, at_generation, fresh, settled
from support.stores import ready_model
from support.typed import as_typed, without_empty

GOLDEN = Path(__file__).with_name("golden")
ALPHA, BETA = ready_model("alpha", DIGEST), ready_model("beta", OTHER_DIGEST)
ELSEWHERE = ready_model("beta", OTHER_DIGEST, claim=None)
SAFETENSORS = ready_model(
    "alpha", DIGEST, format="safetensors", contextLength=32768, cacheValuesPerToken=65536,
    files=[
        {"name": "config.json", "digest": f"sha256:{'c' * 64}", "bytes": 700},
        {"name": "model.safetensors", "digest": OTHER_DIGEST, "bytes": 4_000_000_000},
    ],
)  # fmt: skip
HARDWARE: Json = {
    "gpus": 2, "gpuTypes": ["H100", "A100"], "memory": "32Gi", "cpu": "4",
    "nodeSelector": {"zone": "a"}, "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "runtimeClassName": "nvidia", "priorityClassName": "serving",
}  # fmt: skip

POOLS: dict[str, PoolFacts] = {
    "llama-cpp-one-model": fresh(EngineName.LLAMA_CPP, known=(ALPHA,)),
    "llama-cpp-router": fresh(EngineName.LLAMA_CPP, known=(ALPHA, ELSEWHERE), replicas=2),
    "ollama-one-claim": fresh(EngineName.OLLAMA, known=(ALPHA, BETA)),
    "ollama-view": fresh(EngineName.OLLAMA, known=(ALPHA, ELSEWHERE)),
    "vllm-gpus": fresh(EngineName.VLLM, known=(SAFETENSORS,), replicas=3, hardware=HARDWARE),
}


def wanted(facts: PoolFacts) -> tuple[Manifest, ...]:
    plan = plan_pool(facts, SETTINGS)
    assert (plan.refused, plan.missing, plan.waiting) == ((), (), ())
    return plan.wanted


@pytest.mark.parametrize("name", POOLS)
def test_children_are_as_committed(name: str) -> None:
    check_golden(GOLDEN / f"{name}.yaml", [dict(each) for each in wanted(POOLS[name])])


@pytest.mark.parametrize("name", POOLS)
def test_children_hold_only_fields_that_kubernetes_knows(name: str) -> None:
    for manifest in wanted(POOLS[name]):
        assert as_typed(manifest) == without_empty(manifest)


@pytest.mark.parametrize("name", POOLS)
def test_settled_pool_changes_nothing(name: str) -> None:
    assert plan_pool(settled(POOLS[name]), SETTINGS).changes == ()


@pytest.mark.parametrize("name", POOLS)
def test_child_of_every_kind_is_one_that_the_operator_watches(name: str) -> None:
    known = {kind.kind for kind in POOL_CHILDREN}

    assert {str(manifest["kind"]) for manifest in wanted(POOLS[name])} <= known


@pytest.mark.parametrize("name", POOLS)
def test_every_container_is_restricted_limited_and_without_a_token(name: str) -> None:
    spec = pod_of(POOLS[name])
    assert spec["automountServiceAccountToken"] is False
    assert at(spec, "securityContext", "runAsNonRoot") is True
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(spec)
    kinds = {key for volume in items(spec, "volumes") for key in volume if key != "name"}
    assert kinds <= {"persistentVolumeClaim", "emptyDir", "configMap"}
    for container in containers_of(spec):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert at(container, "resources", "limits", "memory")


@pytest.mark.parametrize("name", POOLS)
def test_every_claim_is_mounted_read_only(name: str) -> None:
    spec = pod_of(POOLS[name])
    claims = {each["name"] for each in items(spec, "volumes") if "persistentVolumeClaim" in each}
    mounts = [mount for each in containers_of(spec) for mount in items(each, "volumeMounts")]
    assert claims
    assert all(mount["readOnly"] is True for mount in mounts if mount["name"] in claims)


def deployment_of(facts: PoolFacts) -> Manifest:
    (deployment,) = (each for each in wanted(facts) if each["kind"] == "Deployment")
    return deployment


def pod_of(facts: PoolFacts) -> Mapping[str, Json]:
    spec = at(deployment_of(facts), "spec", "template", "spec")
    assert isinstance(spec, dict)
    return spec


def containers_of(spec: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    return [*items(spec, "containers"), *items(spec, "initContainers")]


def test_model_joins_an_ollama_of_one_claim_without_touching_its_pods() -> None:
    one = fresh(EngineName.OLLAMA, known=(ALPHA,), hardware={"memory": "8Gi"})
    two = fresh(EngineName.OLLAMA, known=(ALPHA, BETA), hardware={"memory": "8Gi"})

    assert wanted(one) == wanted(two)


@pytest.mark.parametrize("name", POOLS)
def test_new_operator_does_not_restart_engines_and_comes_in_with_the_next_change(name: str) -> None:
    newer = replace(SETTINGS, images=replace(SETTINGS.images, operator="operator:2"))
    running = settled(POOLS[name])
    changed = replace(running, pool=at_generation(running.pool, 4, serving={"parallel": 2}))

    assert plan_pool(running, newer).changes == ()
    assert "operator:2" in str(plan_pool(changed, newer).changes)


def test_scaling_changes_the_replicas_and_the_budget_only() -> None:
    one, two = fresh(), fresh(replicas=2)
    changed = plan_pool(replace(settled(one), pool=two.pool), SETTINGS).changes

    assert pod_of(one) == pod_of(two)
    assert sorted(str(change.manifest["kind"]) for change in changed) == [  # type: ignore[union-attr]  # both are applied
        "Deployment",
        "PodDisruptionBudget",
    ]


def test_pool_of_one_has_no_budget_that_would_hold_up_a_drain() -> None:
    kinds = [manifest["kind"] for manifest in wanted(fresh(replicas=1))]

    assert "PodDisruptionBudget" not in kinds


def test_changed_configuration_file_rolls_the_pods() -> None:
    before = fresh(known=(ALPHA, BETA))
    after = replace(before, pool=at_generation(before.pool, 4, serving={"contextLength": 512}))

    assert annotations(before) != annotations(after)


def annotations(facts: PoolFacts) -> Json:
    return at(deployment_of(facts), "spec", "template", "metadata", "annotations")


def test_long_pool_names_never_collide() -> None:
    long = [f"{'x' * 70}{end}" for end in "ab"]
    pools = [
        replace(
            (base := fresh()),
            pool=base.pool.model_copy(
                update={"metadata": base.pool.metadata.model_copy(update={"name": name})}
            ),
        )
        for name in long
    ]
    children = [{json.dumps(each["metadata"]) for each in wanted(facts)} for facts in pools]

    assert not children[0] & children[1]

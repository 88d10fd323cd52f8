"""The story of the product on a full node: pull, serve with both engines, change, break, delete."""

from pathlib import Path

import pytest

from paddock.local.cluster import EmbeddedCluster
from support.world import World, inference_pool, local_model

pytestmark = pytest.mark.e2e


def test_one_model_is_served_by_both_engines_from_the_same_bytes(world: World, source: str) -> None:
    world.apply(
        local_model("tiny", source, storage={"size": "1Gi"}),
        inference_pool("cpp", "LlamaCpp", "tiny"),
        inference_pool("oll", "Ollama", "tiny"),
    )
    model = world.until_ready("localmodel", "tiny")
    digest = model["status"]["artifact"]["digest"]
    for pool in ("cpp", "oll"):
        served = world.until_ready("inferencepool", pool)["status"]["models"]
        assert [each["digest"] for each in served] == [digest]
        assert world.chat(pool, "tiny")["choices"][0]["message"]["role"] == "assistant"
    assert world.get("localmodel", "tiny")["status"]["usedBy"] == ["cpp", "oll"]  # type: ignore[index]  # it exists
    told = world.operator_metrics()
    for pool, engine in (("cpp", "LlamaCpp"), ("oll", "Ollama")):
        labels = f'namespace="{world.namespace}",pool="{pool}",model="tiny",engine="{engine}"'
        assert f"paddock_engine_load_duration_seconds_count{{{labels}}} 1\n" in told


def test_settled_objects_cost_no_write_also_across_a_restart(
    world: World, source: str, cluster: EmbeddedCluster
) -> None:
    world.apply(
        local_model("tiny", source, storage={"size": "1Gi"}),
        inference_pool("cpp", "LlamaCpp", "tiny"),
    )
    world.until_ready("localmodel", "tiny")
    world.until_ready("inferencepool", "cpp")
    before = world.operator_writes()
    cluster.kubectl("-n", "paddock-system", "rollout", "restart", "deployment/paddock-operator")
    cluster.kubectl(
        "-n", "paddock-system", "rollout", "status", "deployment/paddock-operator", "--timeout=120s"
    )
    world.apply(local_model("probe", "hf://only-one-part"))
    world.until_reason("localmodel", "probe", "InvalidSpec")  # the new leader has worked
    new = world.operator_writes()[len(before) :]
    assert [write for write in new if not write.name.startswith("probe")] == []


def test_kept_weights_outlive_their_model_and_are_used_again(world: World, source: str) -> None:
    world.apply(local_model("tiny", source, storage={"size": "1Gi"}))
    world.until_ready("localmodel", "tiny")
    world.delete("localmodel", "tiny")
    world.until("the Job is gone", lambda: not world.every("jobs"))
    assert world.get("pvc", "tiny-weights") is not None
    world.apply(local_model("tiny", source, storage={"size": "1Gi"}))
    world.until_ready("localmodel", "tiny")


def test_deletable_weights_go_with_their_model(world: World, source: str) -> None:
    world.apply(local_model("tiny", source, storage={"size": "1Gi", "retain": "Delete"}))
    world.until_ready("localmodel", "tiny")
    world.delete("localmodel", "tiny")
    world.until("the claim is gone", lambda: world.get("pvc", "tiny-weights") is None)


def test_models_of_one_claim_share_bytes_and_free_only_their_own(world: World, source: str) -> None:
    world.apply(local_model("first", source, storage={"size": "1Gi"}))
    world.until_ready("localmodel", "first")
    shared = {"claimName": "first-weights", "retain": "Delete"}
    world.apply(local_model("second", source, storage=shared))
    second = world.until_ready("localmodel", "second")
    assert second["metadata"]["finalizers"] == ["paddock.dev/free-store"]
    world.delete("localmodel", "second")
    world.until("the model is gone", lambda: world.get("localmodel", "second") is None)
    world.apply(inference_pool("cpp", "LlamaCpp", "first"))
    world.until_ready("inferencepool", "cpp")
    assert world.chat("cpp", "first")["choices"]


def test_claim_of_the_users_own_is_freed_and_stays(
    world: World, source: str, cluster: EmbeddedCluster
) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "mine"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    world.apply(
        claim,
        local_model("freed", source, storage={"claimName": "mine", "retain": "Delete"}),
    )
    world.until_ready("localmodel", "freed")
    volume = world.get("pvc", "mine")["spec"]["volumeName"]  # type: ignore[index]
    folder = Path(cluster.kubectl("get", "pv", volume, "-o", "jsonpath={.spec.local.path}"))
    assert list((folder / "blobs").glob("sha256-*"))
    world.delete("localmodel", "freed")
    world.until("the model is gone", lambda: world.get("localmodel", "freed") is None)
    assert not list((folder / "blobs").glob("sha256-*"))
    assert world.get("pvc", "mine") is not None


def test_bad_image_leaves_the_old_revision_serving_and_says_so(world: World, source: str) -> None:
    world.apply(
        local_model("tiny", source, storage={"size": "1Gi"}),
        inference_pool("cpp", "LlamaCpp", "tiny"),
    )
    world.until_ready("inferencepool", "cpp")
    bad = {"image": "localhost/paddock/absent:1"}
    world.apply(inference_pool("cpp", "LlamaCpp", "tiny", departs=bad))
    world.until_reason("inferencepool", "cpp", "ImagePullFailed")
    assert world.chat("cpp", "tiny")["choices"]
    world.apply(inference_pool("cpp", "LlamaCpp", "tiny"))
    world.until_ready("inferencepool", "cpp")


def test_gpu_that_is_not_there_is_named_and_used_when_it_comes(
    world: World, source: str, cluster: EmbeddedCluster
) -> None:
    resource = "example.com/gpu"
    hardware = {"gpus": 1, "resourceName": resource, "memory": "2Gi"}
    world.apply(
        local_model("tiny", source, storage={"size": "1Gi"}),
        inference_pool("cpp", "LlamaCpp", "tiny", hardware=hardware),
    )
    message = world.until_reason("inferencepool", "cpp", "InsufficientGPU")
    assert resource in message
    cluster.node.set_gpus(1, resource)
    world.until(
        "the pool got its GPU", lambda: world.condition("inferencepool", "cpp")[0] == "True"
    )


def test_many_models_in_one_pool_of_each_engine(world: World, source: str) -> None:
    world.apply(local_model("first", source, storage={"size": "1Gi"}))
    world.until_ready("localmodel", "first")
    world.apply(local_model("second", source, storage={"claimName": "first-weights"}))
    world.apply(
        inference_pool("cpp", "LlamaCpp", "first", "second"),
        inference_pool("oll", "Ollama", "first", "second"),
    )
    for pool in ("cpp", "oll"):
        world.until_ready("inferencepool", pool)
        for model in ("first", "second"):
            assert world.chat(pool, model)["choices"]


def test_restarted_apiserver_is_found_again(
    world: World, source: str, cluster: EmbeddedCluster
) -> None:
    cluster.plane.kill_apiserver()
    cluster.plane.start_apiserver()
    world.apply(local_model("tiny", source, storage={"size": "1Gi"}))
    world.until_ready("localmodel", "tiny")


def test_pool_scales_by_the_scale_subresource_and_to_zero(world: World, source: str) -> None:
    world.apply(
        local_model("tiny", source, storage={"size": "1Gi"}),
        inference_pool("cpp", "LlamaCpp", "tiny", replicas=1),
    )
    world.until_ready("inferencepool", "cpp")
    for replicas in (2, 0):
        world.cluster.kubectl(
            "-n", world.namespace, "scale", "inferencepool/cpp", f"--replicas={replicas}"
        )
        world.until(
            f"{replicas} replicas serve",
            lambda replicas=replicas: (
                world.condition("inferencepool", "cpp")[0] == "True"
                and world.get("inferencepool", "cpp")["status"]["readyReplicas"] == replicas
            ),
        )

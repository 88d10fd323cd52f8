"""The apiserver itself refuses what schema and CEL refuse, with the path, and takes the rest."""

from typing import Any

import pytest

from paddock.errors import ApiError
from paddock.kube.real import RealCluster
from paddock.wire import Manifest
from support.declared import declared_pool

pytestmark = pytest.mark.contract

SPANS = {"collector": "Managed", "otlp": {"endpoint": "http://a:4318"}, "engineSpans": True}
GOOD_SOURCE = "https://models.example.com/tiny.gguf"


def model(namespace: str, spec: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": "LocalModel",
        "metadata": {"name": "m", "namespace": namespace},
        "spec": {"source": GOOD_SOURCE, **spec},
    }


BAD_MODELS: list[tuple[dict[str, Any], str]] = [
    ({"source": ""}, "spec.source"),
    ({"source": "ftp://example.com/x.gguf"}, "spec.source"),
    ({"source": "file:///etc/passwd"}, "spec.source"),
    ({"source": "https://example.com/a b"}, "spec.source"),
    ({"source": "https://example.com/" + "a" * 2048}, "spec.source"),
    ({"source": 7}, "spec.source"),
    ({"quantization": "Q4 K"}, "spec.quantization"),
    ({"quantization": "x" * 33}, "spec.quantization"),
    ({"digest": "sha256:abc"}, "spec.digest"),
    ({"digest": "SHA256:" + "a" * 64}, "spec.digest"),
    ({"digest": "md5:" + "a" * 64}, "spec.digest"),
    ({"updatePolicy": "Always"}, "spec.updatePolicy"),
    ({"credentials": {}}, "spec.credentials.secretName"),
    ({"credentials": {"secretName": "A_B"}}, "spec.credentials.secretName"),
    ({"storage": {"size": "-1Gi"}}, "spec.storage.size"),
    ({"storage": {"size": "ten"}}, "spec.storage.size"),
    ({"storage": {"size": -1}}, "spec.storage.size"),
    ({"storage": {"size": True}}, "spec.storage.size"),
    ({"storage": {"accessModes": []}}, "spec.storage.accessModes"),
    ({"storage": {"accessModes": ["ReadOnlyMany"]}}, "spec.storage.accessModes"),
    ({"storage": {"retain": "Keep"}}, "spec.storage.retain"),
    ({"storage": {"claimName": "c", "size": "1Gi"}}, "spec.storage"),
    ({"storage": {"claimName": "c", "storageClassName": "s"}}, "spec.storage"),
    ({"storage": {"claimName": "../x"}}, "spec.storage.claimName"),
    ({"source": "pvc://c/x.gguf", "storage": {"size": "1Gi"}}, "spec"),
    ({"source": "pvc://c/x.gguf", "credentials": {"secretName": "s"}}, "spec"),
    ({"modelfile": {"parameters": {"temperature": -1}}}, "spec.modelfile.parameters.temperature"),
    ({"modelfile": {"parameters": {"topP": 1.5}}}, "spec.modelfile.parameters.topP"),
    ({"modelfile": {"parameters": {"numCtx": 0}}}, "spec.modelfile.parameters.numCtx"),
    ({"modelfile": {"parameters": {"stop": [""]}}}, "spec.modelfile.parameters.stop"),
    ({"modelfile": {"system": "x" * 16_385}}, "spec.modelfile.system"),
    ({"pull": {"parallelism": 0}}, "spec.pull.parallelism"),
    ({"pull": {"parallelism": 65}}, "spec.pull.parallelism"),
    ({"pull": {"deadlineSeconds": 1}}, "spec.pull.deadlineSeconds"),
    ({"pull": {"nodeSelector": {"bad key!": "x"}}}, "spec.pull.nodeSelector"),
    ({"pull": {"tolerations": [{"operator": "Never"}]}}, "spec.pull.tolerations"),
]
PICKER = "spec.gateway.inferenceExtension.endpointPicker"


def exported(**more: Any) -> dict[str, Any]:
    """Return a pool's spec with an endpoint picker, which may have anything odd about it."""
    picker = {"name": "picker", "port": 9002, **more}
    return {"gateway": {"inferenceExtension": {"endpointPicker": picker}}}


BAD_POOLS: list[tuple[dict[str, Any], str]] = [
    ({"engine": {"name": "TGI"}}, "spec.engine.name"),
    ({"engine": {}}, "spec.engine.name"),
    ({"engine": {"name": "Ollama", "image": "a b"}}, "spec.engine.image"),
    ({"engine": {"name": "VLLM"}, "telemetry": SPANS}, "spec"),
    ({"engine": {"name": "Ollama", "image": "a"}, "telemetry": SPANS}, "spec"),
    ({"engine": {"name": "Ollama", "image": "-rm"}}, "spec.engine.image"),
    ({"engine": {"name": "Ollama", "env": [{"name": "a-b", "value": ""}]}}, "spec.engine.env"),
    ({"engine": {"name": "Ollama", "args": [""]}}, "spec.engine.args"),
    ({"models": []}, "spec.models"),
    ({"models": [{"name": "m"}, {"name": "m"}]}, "spec.models"),
    ({"models": [{"name": "M"}]}, "spec.models[0].name"),
    ({"models": [{"name": "m", "as": "a/b"}]}, "spec.models[0].as"),
    ({"models": [{"name": "m", "as": ""}]}, "spec.models[0].as"),
    ({"models": [{"name": "m", "contextLength": 1}]}, "spec.models[0].contextLength"),
    ({"models": [{"name": f"m{i}"} for i in range(65)]}, "spec.models"),
    ({"engine": {"name": "VLLM"}, "models": [{"name": "a"}, {"name": "b"}]}, "spec"),
    ({"replicas": -1}, "spec.replicas"),
    ({"replicas": 1001}, "spec.replicas"),
    ({"replicas": "one"}, "spec.replicas"),
    ({"replicas": 1, "scaling": {}}, "spec"),
    ({"scaling": {"min": -1}}, "spec.scaling.min"),
    ({"scaling": {"max": 0}}, "spec.scaling.max"),
    ({"scaling": {"min": 3, "max": 2}}, "spec.scaling"),
    ({"scaling": {"targetInFlight": 0}}, "spec.scaling.targetInFlight"),
    ({"scaling": {"min": 1, "idle": {"zeroAfter": "5m"}}}, "spec.scaling"),
    ({"scaling": {"idle": {"zeroAfter": "5m"}}}, "spec.scaling"),
    ({"scaling": {"min": 0, "idle": {"zeroAfter": "9s"}}}, "spec.scaling.idle"),
    ({"scaling": {"idle": {"unloadAfter": "0s"}}}, "spec.scaling.idle"),
    ({"scaling": {"min": 0, "idle": {"unloadAfter": "5m", "zeroAfter": "300s"}}}, "spec.scaling"),
    ({"scaling": {"min": 0, "idle": {"zeroAfter": "5 m"}}}, "spec.scaling.idle.zeroAfter"),
    ({"gateway": {"tls": {"secretName": "A_B"}}}, "spec.gateway.tls.secretName"),
    ({"gateway": {"expose": {"by": "Ingress"}}}, "spec.gateway.expose.host"),
    ({"gateway": {"expose": {"by": "Magic", "host": "h"}}}, "spec.gateway.expose.by"),
    (
        {"gateway": {"expose": {"by": "HTTPRoute", "host": "h", "ingressClassName": "c"}}},
        "spec.gateway.expose",
    ),
    (exported(podLabels={}), f"{PICKER}.podLabels"),
    (exported(podLabels={"a b": "c"}), f"{PICKER}.podLabels"),
    (exported(port=0), f"{PICKER}.port"),
    (exported(failureMode="FailLoud"), f"{PICKER}.failureMode"),
    ({"hardware": {"gpus": -1}}, "spec.hardware.gpus"),
    ({"hardware": {"gpus": 999}}, "spec.hardware.gpus"),
    ({"hardware": {"resourceName": "gpu!"}}, "spec.hardware.resourceName"),
    ({"hardware": {"gpuTypes": []}}, "spec.hardware.gpuTypes"),
    ({"hardware": {"sharing": "Fair"}}, "spec.hardware.sharing"),
    ({"hardware": {"deviceClaim": "a b"}}, "spec.hardware.deviceClaim"),
    ({"hardware": {"gpuTypes": ["a b"]}}, "spec.hardware.gpuTypes"),
    ({"hardware": {"memory": "lots"}}, "spec.hardware.memory"),
    ({"hardware": {"nodeSelector": {"": "x"}}}, "spec.hardware.nodeSelector"),
    ({"hardware": {"runtimeClassName": "N V"}}, "spec.hardware.runtimeClassName"),
    ({"serving": {"contextLength": 0}}, "spec.serving.contextLength"),
    ({"serving": {"contextLength": 2**31}}, "spec.serving.contextLength"),
    ({"serving": {"parallel": 0}}, "spec.serving.parallel"),
    ({"serving": {"gpuLayers": "All"}}, "spec.serving.gpuLayers"),
    ({"serving": {"gpuLayers": -1}}, "spec.serving.gpuLayers"),
    ({"serving": {"kvCacheType": "q2"}}, "spec.serving.kvCacheType"),
    ({"serving": {"keepAlive": "forever"}}, "spec.serving.keepAlive"),
    ({"serving": {"gpuMemoryUtilization": 0}}, "spec.serving.gpuMemoryUtilization"),
    ({"serving": {"gpuMemoryUtilization": 1.1}}, "spec.serving.gpuMemoryUtilization"),
    ({"serving": {"draftModel": "Not A Name"}}, "spec.serving.draftModel"),
    ({"serving": {"flashAttention": "yes"}}, "spec.serving.flashAttention"),
]
GOOD_MODELS: list[dict[str, Any]] = [
    {},
    {"quantization": "Auto", "digest": "sha256:" + "a" * 64},
    {"storage": {"size": 1_000_000, "accessModes": ["ReadWriteMany"], "retain": "Delete"}},
    {"storage": {"size": "1.5Gi"}},
    {"source": "pvc://claim/folder/model.gguf"},
    {"pull": {"nodeSelector": {"example.com/zone": "a"}, "resources": {"memory": "1Gi"}}},
]
GOOD_POOLS: list[dict[str, Any]] = [
    exported(podLabels={"app.kubernetes.io/name": "picker"}, failureMode="FailOpen"),
    {},
    {"scaling": {"min": 0}},
    {"scaling": {"idle": {"unloadAfter": "5m"}}},
    {"scaling": {"min": 0, "idle": {"unloadAfter": "5m", "zeroAfter": "1h"}}},
    {"scaling": {"min": 0, "max": 4, "targetInFlight": 8, "idle": {"zeroAfter": "1h30m"}}},
    {"replicas": 0, "serving": {"gpuLayers": "Auto", "keepAlive": "-1"}},
    {"serving": {"gpuLayers": 32, "keepAlive": "1h30m", "gpuMemoryUtilization": 0.9}},
    {"models": [{"name": "a", "as": "name:tag"}, {"name": "b", "preload": False}]},
    {"gateway": {"tls": {"secretName": "s"}, "expose": {"by": "Ingress", "host": "a.example.com"}}},
    {"hardware": {"gpus": 1, "resourceName": "nvidia.com/mig-1g.10gb", "gpuTypes": ["a100"]}},
]


@pytest.mark.parametrize(("spec", "path"), BAD_MODELS)
async def test_bad_model_is_refused_with_its_path(
    cluster: RealCluster, namespace: str, spec: dict[str, Any], path: str
) -> None:
    with pytest.raises(ApiError) as refused:
        await cluster.apply(model(namespace, spec))
    assert path in str(refused.value)


@pytest.mark.parametrize(("spec", "path"), BAD_POOLS)
async def test_bad_pool_is_refused_with_its_path(
    cluster: RealCluster, namespace: str, spec: dict[str, Any], path: str
) -> None:
    with pytest.raises(ApiError) as refused:
        await cluster.apply(declared_pool(namespace, spec))
    assert path in str(refused.value)


@pytest.mark.parametrize("spec", GOOD_MODELS)
async def test_good_model_is_taken_as_it_is(
    cluster: RealCluster, namespace: str, spec: dict[str, Any]
) -> None:
    wanted = model(namespace, spec)
    assert (await cluster.apply(wanted))["spec"] == wanted["spec"]


@pytest.mark.parametrize("spec", GOOD_POOLS)
async def test_good_pool_is_taken_as_it_is(
    cluster: RealCluster, namespace: str, spec: dict[str, Any]
) -> None:
    wanted = declared_pool(namespace, spec)
    assert (await cluster.apply(wanted))["spec"] == wanted["spec"]

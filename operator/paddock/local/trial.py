"""What `paddock up` puts into a cluster: the operator, a model, and a pool per engine; then waits.

I/O through kubectl as the cluster's administrator. What needs no registry is for the embedded
cluster alone: images assembled here, and a model served by this machine.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paddock import kinds, names
from paddock.api.crds import build_inference_pool_crd, build_local_model_crd
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.api.localmodel import Progress as PullProgress
from paddock.local.cluster import EmbeddedCluster
from paddock.local.context import TRIAL, full_name
from paddock.local.images.recipes import (
    Built,
    envoy_image,
    llama_cpp_image,
    ollama_image,
    operator_image,
)
from paddock.local.install import NAME, NAMESPACE, build_install
from paddock.local.kubectl import Kubectl
from paddock.local.problems import LocalError
from paddock.local.progress import Progress
from paddock.local.sample_model import Sample
from paddock.wire import Json, Manifest

SAMPLE_PORT = 18000
POOL_NAMES = {EngineName.LLAMA_CPP: "llama-cpp", EngineName.OLLAMA: "ollama"}
"""Waited for first: to wait for a condition is an error while a CRD has none at all."""
_WAIT_SECONDS = 900
_POLL = 0.5


@dataclass(frozen=True, slots=True)
class Installed:
    """The operator's image, which is the pull Jobs' too, and what else it is started with."""

    image: str
    arguments: tuple[str, ...] = ()


def assembled(
    cluster: EmbeddedCluster, engines: Sequence[EngineName], report: Progress
) -> Installed:
    """Load the images that the engines need into the embedded node, each assembled here."""
    operator = _loaded(cluster, operator_image(report))
    envoy = _loaded(cluster, envoy_image(report))
    arguments = ["--allow-http", "--allow-cidr", f"{cluster.addresses.host}/32",
                 "--envoy-image", envoy.name]  # fmt: skip
    for engine, flag, image in (
        (EngineName.LLAMA_CPP, "--llama-cpp-image", llama_cpp_image),
        (EngineName.OLLAMA, "--ollama-image", ollama_image),
    ):
        if engine in engines:
            arguments += [flag, _loaded(cluster, image(report)).name]
    return Installed(operator.name, tuple(arguments))


def install_operator(cluster: Kubectl, installed: Installed, report: Progress) -> None:
    """Apply the CRDs and the operator, and wait until it is ready."""
    crds = (build_local_model_crd(), build_inference_pool_crd())
    cluster.apply(crds)
    cluster.await_crds(*(f"crd/{full_name(kind)}" for kind in kinds.OWN))
    own = ("--operator-image", installed.image, "--operator-namespace", NAMESPACE)
    arguments = (*own, *installed.arguments)
    cluster.apply(build_install(installed.image, arguments, api_ports(cluster)))
    report.step("operator", "starting")
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{NAME}", "--timeout=300s")
    report.step("operator", "ready")


def api_ports(cluster: Kubectl) -> tuple[int, ...]:
    """Return where the apiserver listens behind its Service, which NetworkPolicies go by."""
    slices = ("endpointslices", "-l", "kubernetes.io/service-name=kubernetes")
    where = "jsonpath={.items[*].ports[*].port}"
    said = cluster.kubectl("-n", "default", "get", *slices, "-o", where)
    return tuple(sorted({int(port) for port in said.split()}))


def _loaded(cluster: EmbeddedCluster, image: Built) -> Built:
    if not cluster.node.has_image(image.name):
        cluster.node.load_image(image.archive)
    return image


def serve_sample(cluster: EmbeddedCluster, sample: Sample) -> str:
    """Return the source of the sample; a local file is served to the node by this machine."""
    if sample.file is None:
        return str(sample.source)
    folder = cluster.folder / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / sample.file.name
    if not place.exists():
        shutil.copyfile(sample.file, place)
    cluster.ensure_daemon(
        "sample-source",
        [sys.executable, "-m", "paddock.local.sample_source", str(folder), cluster.addresses.host,
         str(SAMPLE_PORT)],
    )  # fmt: skip
    return f"http://{cluster.addresses.host}:{SAMPLE_PORT}/{sample.file.name}"


def apply_sample(cluster: Kubectl, name: str, source: str, engines: Sequence[EngineName]) -> None:
    """Apply the model and one pool per engine, as a user would."""
    manifests: list[Manifest] = [
        {
            "apiVersion": names.API_VERSION,
            "kind": names.LOCAL_MODEL,
            "metadata": _metadata(name),
            "spec": {"source": source},
        }
    ]
    manifests += [
        {
            "apiVersion": names.API_VERSION,
            "kind": names.INFERENCE_POOL,
            "metadata": _metadata(POOL_NAMES[engine]),
            "spec": {"engine": {"name": engine.value}, "models": [{"name": name}]},
        }
        for engine in engines
    ]
    cluster.apply(manifests)


def _metadata(name: str) -> dict[str, Json]:
    return {"name": name, "namespace": "default", "labels": {names.MANAGED_BY_LABEL: TRIAL}}


def wait_for_model(cluster: Kubectl, name: str, report: Progress) -> None:
    """Show the pull until the model is Ready; a stalled model is an error with its own words."""
    said = ""
    for model in _polled(cluster, "localmodel", name):
        parsed = LocalModel.model_validate(model)
        ready = {each.type: each for each in parsed.status.conditions}
        if "Ready" in ready and ready["Ready"].status == "True":
            report.step(name, "pulled and verified")
            return
        if "Stalled" in ready:
            raise LocalError(f"{name}: {ready['Stalled'].message}")
        words = pull_words(parsed.status.progress, said)
        if words != said:
            report.step(name, words)
            said = words


def pull_words(progress: PullProgress | None, said: str) -> str:
    """Say how far a pull is; nothing new where it does not tell: at its end, or when it is busy."""
    if progress is None:
        return said or "waiting for the pull to start"
    if progress.percent is None:
        return "asking the source"
    return f"pulling {progress.percent} %"


def wait_for_pool(cluster: Kubectl, engine: EngineName, report: Progress) -> None:
    """Show the pool's condition until it is Ready."""
    name, said = POOL_NAMES[engine], ""
    for pool in _polled(cluster, "inferencepool", name):
        parsed = InferencePool.model_validate(pool)
        ready = {each.type: each for each in parsed.status.conditions}
        if "Ready" in ready and ready["Ready"].status == "True":
            report.step(name, "ready, its model verified")
            return
        words = ready["Ready"].message if "Ready" in ready else "waiting for the operator"
        if words != said:
            report.step(name, words)
            said = words


def gateway_address(cluster: Kubectl) -> str:
    """Return the address of the gateway that serves the sample, inside the cluster."""
    where = ("service", names.GATEWAY, "-o", "jsonpath={.spec.clusterIP}")
    return cluster.kubectl("-n", "default", "get", *where)


def _polled(cluster: Kubectl, kind: str, name: str) -> Iterator[Manifest]:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        yield json.loads(cluster.kubectl("-n", "default", "get", kind, name, "-o", "json"))
        time.sleep(_POLL)
    raise LocalError(f"{kind} {name} did not become Ready in {_WAIT_SECONDS} s; describe it.")

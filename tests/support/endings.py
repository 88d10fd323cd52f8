"""How a story ended: all objects of a namespace, without what differs from run to run."""

import json
import re
from typing import Any

from paddock import kinds, names
from paddock.facts import Kind
from paddock.kube.real import RealCluster

REPLICA_SETS = Kind("apps", "v1", "replicasets", "ReplicaSet")
KINDS = (
    *kinds.OWN,
    *kinds.MODEL_CHILDREN,
    *kinds.GATEWAY_CHILDREN,
    kinds.PODS,
    REPLICA_SETS,
)
_VOLATILE = frozenset(
    {
        "uid", "resourceVersion", "creationTimestamp", "managedFields", "clusterIP", "clusterIPs",
        "lastTransitionTime", "lastUpdateTime", "lastProbeTime", "startTime", "completionTime",
        "startedAt", "finishedAt", "podIP", "podIPs", "nodeName", "hostIP", "hostIPs",
        names.APPLIED_ANNOTATION, names.CONFIG_ANNOTATION, names.NUDGE_ANNOTATION,
        names.REVISION_ANNOTATION,
    }
)  # fmt: skip
_HASHES = (
    (re.compile(r"\btiny-pull-[0-9a-f]{10}\b"), "tiny-pull-PLAN"),
    (re.compile(r"\bchat-[0-9a-z]{7,10}\b"), "chat-TEMPLATE"),
    (re.compile(r"\bpaddock-gateway-[0-9a-z]{7,10}\b"), "paddock-gateway-TEMPLATE"),
    (re.compile(r'(?<="pod-template-hash": ")[0-9a-z]+'), "TEMPLATE"),
    (re.compile(r"\b(tiny-pull-PLAN|(chat|paddock-gateway)-TEMPLATE)-[0-9a-z]{5}\b"), r"\1-POD"),
    (re.compile(r'(?<="paddock.dev/owner-uid": ")gateway-[0-9a-f]{8}'), "gateway-NAMESPACE"),
    (re.compile(r'(version_info\\":\\")[0-9a-f]{12}'), r"\1VERSION"),
    (re.compile(r"(created\W+)[0-9]{10}\b"), r"\1SECONDS"),
    (re.compile(r"(modified_at\W+)[0-9T:-]{19}Z"), r"\1MOMENT"),
)
"""Names made of uids or at random, and what is made of the namespace's name or of the time.

The uid of a pool is in its pods' labels; what a version or a revision stands for is compared.
"""
Ending = dict[str, Any]


async def ending_of(cluster: RealCluster, namespace: str) -> Ending:
    """Return what there is, by Kind/name, in a form that two runs share.

    Generations and Deployment revisions stay: they count the changes that were made.
    """
    found: list[Any] = []
    for kind in KINDS:
        found += await cluster.list(kind, namespace)
    found = [each for each in found if each["metadata"]["name"] != "kube-root-ca.crt"]
    called = {each["metadata"]["uid"]: f"{each['kind']}/{each['metadata']['name']}"
              for each in found}  # fmt: skip
    ending: dict[str, list[str]] = {}
    for each in found:
        text = json.dumps(_stable(each), sort_keys=True)
        for uid, name in called.items():
            text = text.replace(uid, name)
        for pattern, word in _HASHES:
            text = pattern.sub(word, text)
        text = text.replace(namespace, "NAMESPACE")
        name = json.loads(text)["metadata"]["name"]
        ending.setdefault(f"{each['kind']}/{name}", []).append(text)
    return {name: [json.loads(text) for text in sorted(texts)] for name, texts in ending.items()}


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return where two endings differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in sorted({*one, *other})
            for line in differences(one.get(key), other.get(key), f"{path}/{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line
            for index, (left, right) in enumerate(zip(one, other, strict=True))
            for line in differences(left, right, f"{path}/{index}")
        ]
    return [] if one == other else [f"{path}: {one} instead of {other}"]


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stable(each) for key, each in value.items() if key not in _VOLATILE}
    if isinstance(value, list):
        return [_stable(each) for each in value]
    return value

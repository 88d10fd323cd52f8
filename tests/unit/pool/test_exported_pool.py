"""A pool as the inference extension's InferencePool: who consents, who is let in, what is told."""

from dataclasses import replace

import pytest

from paddock import kinds
from paddock.facts import Children, Delete, PoolFacts
from paddock.kube.cache import Cache
from paddock.plan.pool import plan_pool
from paddock.raw import at, items, mapping
from paddock.settings import Exposure, Settings
from paddock.status.gateway import gateway_verdict
from paddock.wire import Json, Manifest
from support.pools import fresh, live, settled

SETTINGS = Settings(exposure=Exposure(None, ("istio-system",), inference_extension=True))
PICKER: dict[str, Json] = {"name": "picker", "port": 9002}
PLACE = kinds.EXPORTED_POOLS.kind, "chat"


def asking(*, exportable: bool | None = True, **more: Json) -> PoolFacts:
    extension: Json = {"inferenceExtension": {"endpointPicker": {**PICKER, **more}}}
    return replace(fresh(gateway=extension), exportable=exportable)


def exported(facts: PoolFacts) -> list[Manifest]:
    wanted = plan_pool(facts, SETTINGS).wanted
    return [each for each in wanted if each["apiVersion"] == kinds.EXPORTED_POOLS.api_version]


def peers(facts: PoolFacts) -> list[Json]:
    wanted = plan_pool(facts, SETTINGS).wanted
    (policy,) = [each for each in wanted if each["kind"] == "NetworkPolicy"]
    ingress = at(policy, "spec", "ingress")
    assert isinstance(ingress, list)
    found = at(ingress[0], "from")
    assert isinstance(found, list)
    return found


def test_exported_pool_is_the_pools_own_pods_at_the_engines_port() -> None:
    (made,) = exported(asking())

    assert at(made, "metadata", "name") == "chat"
    (owner,) = items(made, "metadata", "ownerReferences")
    assert (owner["apiVersion"], owner["kind"]) == ("paddock.dev/v1alpha1", "InferencePool")
    assert at(made, "spec") == {
        "selector": {
            "matchLabels": {
                "paddock.dev/pool": "chat",
                "app.kubernetes.io/component": "engine",
            }
        },
        "targetPorts": [{"number": 8080}],
        "endpointPickerRef": {
            "group": "",
            "kind": "Service",
            "name": "picker",
            "port": {"number": 9002},
            "failureMode": "FailClose",
        },
    }


def test_failure_mode_is_the_users() -> None:
    (made,) = exported(asking(failureMode="FailOpen"))

    assert at(made, "spec", "endpointPickerRef", "failureMode") == "FailOpen"


def test_engines_hear_the_picker_and_the_inference_gateways_while_the_pool_is_exported() -> None:
    closed = peers(fresh())
    picker: Json = {"podSelector": {"matchLabels": {"app": "picker"}}}
    gateways: Json = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "istio-system"}}
    }

    assert peers(asking(podLabels={"app": "picker"})) == [*closed, picker, gateways]
    assert peers(asking()) == [*closed, gateways]
    assert peers(asking(exportable=False, podLabels={"app": "picker"})) == closed


def test_exported_pool_costs_nothing_once_it_is_there_and_goes_with_the_field() -> None:
    there = settled(asking(), SETTINGS)
    (made,) = exported(there)
    written = live(made)
    defaulted = {**written, "spec": {**mapping(made, "spec"), "appProtocol": "http"}}
    there = replace(there, children=Children({**there.children.manifests, PLACE: defaulted}))
    without = replace(there, pool=fresh().pool)

    assert plan_pool(there, SETTINGS).changes == ()
    assert [
        each.kind for each in plan_pool(without, SETTINGS).changes if isinstance(each, Delete)
    ] == [kinds.EXPORTED_POOLS]


def test_pool_of_the_same_name_that_is_not_ours_is_left_alone() -> None:
    stranger: Manifest = {
        "apiVersion": kinds.EXPORTED_POOLS.api_version,
        "kind": kinds.EXPORTED_POOLS.kind,
        "metadata": {"name": "chat", "namespace": "team", "uid": "u", "resourceVersion": "1"},
    }
    facts = replace(asking(), children=Children({PLACE: stranger}))

    (conflict,) = plan_pool(facts, SETTINGS).conflicts
    assert conflict.message == (
        "An InferencePool of inference.networking.k8s.io named chat exists and is not ours; rename "
        "or remove it."
    )


@pytest.mark.parametrize(
    ("exportable", "words"),
    [
        (None, "Pools are not exported to the inference extension here"),
        (False, "The cluster has no inferencepools.inference.networking.k8s.io of version v1"),
    ],
)
def test_pool_is_told_why_it_is_not_exported(*, exportable: bool | None, words: str) -> None:
    facts = asking(exportable=exportable)
    verdict = gateway_verdict(facts)

    assert exported(facts) == []
    assert (verdict.status, verdict.reason) == ("False", "NotExposed")
    assert verdict.message.startswith(words)


def test_pool_is_told_what_an_inference_gateway_says_against_it() -> None:
    facts = asking()
    (made,) = exported(facts)
    said: Json = {"type": "ResolvedRefs", "status": "False", "message": "no Service picker"}
    status: Json = {"parents": [{"parentRef": {"name": "public"}, "conditions": [said]}]}
    refused = replace(facts, children=Children({PLACE: {**made, "status": status}}))

    assert gateway_verdict(facts).status == "True"
    assert gateway_verdict(refused).message == (
        "The Gateway public does not take the exported pool: no Service picker."
    )


def test_two_kinds_of_one_name_are_kept_apart() -> None:
    cache = Cache([kinds.INFERENCE_POOLS, kinds.EXPORTED_POOLS])
    for kind, uid in ((kinds.INFERENCE_POOLS, "ours"), (kinds.EXPORTED_POOLS, "theirs")):
        cache.put(kind, {"metadata": {"name": "chat", "namespace": "team", "uid": uid}})
    cache.absent(kinds.EXPORTED_POOLS)

    assert cache.has(kinds.INFERENCE_POOLS)
    assert at(cache.get(kinds.INFERENCE_POOLS, "team", "chat"), "metadata", "uid") == "ours"
    assert cache.get(kinds.EXPORTED_POOLS, "team", "chat") is None

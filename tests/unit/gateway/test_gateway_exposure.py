"""The ways to a gateway from outside: what is made for pools that ask, and what they are told."""

from dataclasses import replace

import pytest

from paddock import kinds, names
from paddock.api.exposure import Expose, Tls, Way
from paddock.api.gateway import Gateway as DeclaredGateway
from paddock.api.gateway import Limits
from paddock.api.inferencepool import InferencePool
from paddock.facts import Children, Delete, GatewayFacts, PoolFacts
from paddock.plan.gateway.plan import GatewayPlan, plan_gateway, render_gateway
from paddock.raw import at
from paddock.settings import Exposure
from paddock.status.gateway import gateway_verdict, state_of_gateway
from paddock.wire import Json, Manifest
from support.gateways import CPP, OLLAMA, SETTINGS, gateway_facts, settled_gateway
from support.pools import NOW
from support.typed import as_typed, without_empty

OUTSIDE = replace(SETTINGS, exposure=Exposure("infra/public", ("ingress-nginx",)))
HOST = "models.example.com"


def asking(
    pool: InferencePool, way: Way, host: str = HOST, made: str = "2026-01-01", **more: object
) -> InferencePool:
    asked = Expose(by=way, host=host, ingress_class_name=more.pop("ingress_class_name", None))  # type: ignore[arg-type]  # a name
    declared = DeclaredGateway(expose=asked, **more)  # type: ignore[arg-type]  # other fields
    return pool.model_copy(
        update={
            "metadata": pool.metadata.model_copy(update={"creation_timestamp": made}),
            "spec": pool.spec.model_copy(update={"gateway": declared}),
        }
    )


INGRESS, ROUTE = asking(CPP, Way.INGRESS), asking(OLLAMA, Way.HTTP_ROUTE)


def planned(facts: GatewayFacts) -> GatewayPlan:
    return plan_gateway(facts, render_gateway(facts, OUTSIDE), OUTSIDE)


def facts_of(*pools: InferencePool, http_routes: bool | None = True) -> GatewayFacts:
    return replace(gateway_facts(*pools), http_routes=http_routes)


def made(facts: GatewayFacts, kind: str) -> list[Manifest]:
    return [each for each in planned(facts).wanted if each["kind"] == kind]


def told(facts: GatewayFacts, pool: InferencePool) -> tuple[str, str]:
    state = state_of_gateway(facts, planned(facts), (), None)
    verdict = gateway_verdict(PoolFacts(pool=pool, now=NOW, gateway=state))
    return verdict.reason.value, verdict.message


def test_pool_that_does_not_ask_gets_no_way_in_and_lets_nobody_in() -> None:
    facts = facts_of(CPP, OLLAMA)
    (policy,) = made(facts, "NetworkPolicy")

    assert made(facts, "Ingress") == made(facts, "HTTPRoute") == []
    assert "ingress-nginx" not in str(policy)


def test_ingress_has_every_host_and_waits_as_long_as_the_longest_answer() -> None:
    patient = asking(OLLAMA, Way.INGRESS, "other.example.com", limits=Limits(request_time="2h"))
    (ingress,) = made(facts_of(INGRESS, patient), "Ingress")
    (policy,) = made(facts_of(INGRESS), "NetworkPolicy")
    annotations = at(ingress, "metadata", "annotations")

    assert as_typed(ingress) == without_empty(ingress)
    assert [each["host"] for each in rules(ingress)] == [HOST, "other.example.com"]
    assert isinstance(annotations, dict)
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "7200"
    assert at(ingress, "spec", "ingressClassName") is None
    assert "ingress-nginx" in str(policy)


def rules(manifest: Manifest) -> list[dict[str, Json]]:
    found = at(manifest, "spec", "rules")
    assert isinstance(found, list)
    return found  # type: ignore[return-value]  # rules of an Ingress


def test_ingress_ends_tls_with_the_gateways_own_secret() -> None:
    secured = asking(CPP, Way.INGRESS, tls=Tls(secret_name="front"))
    (ingress,) = made(facts_of(secured), "Ingress")

    assert at(ingress, "spec", "tls") == [{"hosts": [HOST], "secretName": "front"}]


def test_route_goes_to_the_administrators_gateway() -> None:
    (route,) = made(facts_of(CPP, ROUTE), "HTTPRoute")

    assert at(route, "spec") == {
        "parentRefs": [
            {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": "public",
                "namespace": "infra",
            }
        ],
        "hostnames": [HOST],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [
                    {"group": "", "kind": "Service", "name": names.GATEWAY, "port": 80, "weight": 1}
                ],
                "timeouts": {"request": "3600s", "backendRequest": "3600s"},
            }
        ],
    }


def test_ways_in_go_when_nobody_asks_for_them() -> None:
    before = settled_gateway(facts_of(INGRESS, ROUTE), OUTSIDE)
    changes = planned(replace(before, pools=(CPP, OLLAMA))).changes
    deleted = {each.kind.kind for each in changes if isinstance(each, Delete)}

    assert deleted == {"Ingress", "HTTPRoute"}


@pytest.mark.parametrize(
    ("http_routes", "words"),
    [(None, "No Gateway is set up for HTTPRoutes"), (False, "The cluster has no HTTPRoutes")],
)
def test_pool_is_told_why_there_is_no_route(*, http_routes: bool | None, words: str) -> None:
    facts = facts_of(CPP, ROUTE, http_routes=http_routes)

    assert made(facts, "HTTPRoute") == []
    assert told(facts, ROUTE)[0] == "NotExposed"
    assert told(facts, ROUTE)[1].startswith(words)
    assert told(facts, CPP)[0] == "Progressing"


def test_pool_is_told_what_the_gateways_controller_says_against_the_route() -> None:
    facts = settled_gateway(facts_of(ROUTE), OUTSIDE)
    place = (kinds.HTTP_ROUTES.kind, names.GATEWAY)
    said: Json = {"type": "Accepted", "status": "False", "message": "not from here"}
    parent: Json = {"parentRef": {"name": "public"}, "conditions": [said]}
    route = {**facts.children.manifests[place], "status": {"parents": [parent]}}
    facts = replace(facts, children=Children({**facts.children.manifests, place: route}))

    assert told(facts, ROUTE) == (
        "NotExposed",
        "The Gateway public does not take the route: not from here.",
    )


def test_younger_pool_of_another_class_is_told_of_the_conflict() -> None:
    younger = asking(OLLAMA, Way.INGRESS, made="2026-01-02", ingress_class_name="traefik")
    facts = facts_of(INGRESS, younger)

    assert told(facts, younger) == (
        "GatewayConflict",
        (
            "All pools of a namespace have one Ingress, which has no class for the older "
            "InferencePool cpp: name the same."
        ),
    )
    assert told(facts, INGRESS)[0] == "Progressing"

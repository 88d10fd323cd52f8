"""Facts about a namespace's gateway in the states that tests need."""

from dataclasses import replace

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.facts import Children, GatewayFacts, PodFact
from paddock.plan.gateway.plan import plan_gateway, render_gateway, wanted_report
from paddock.settings import Settings
from support.pools import DIGEST, NOW, OTHER_DIGEST, identity, live
from support.stores import pool_of, ready_model, renamed

SETTINGS = Settings()
ALPHA, BETA = ready_model("alpha", DIGEST), ready_model("beta", OTHER_DIGEST)
CPP = renamed(pool_of(EngineName.LLAMA_CPP, "alpha"), "cpp")
OLLAMA = renamed(pool_of(EngineName.OLLAMA, "beta"), "oll")


def gateway_facts(
    *pools: InferencePool, models: tuple[LocalModel, ...] = (ALPHA, BETA)
) -> GatewayFacts:
    """Return the facts before anything was made."""
    known = {model.metadata.name: model for model in models}
    return GatewayFacts(namespace="team", now=NOW, pools=pools, models=known)


def settled_gateway(facts: GatewayFacts, settings: Settings = SETTINGS) -> GatewayFacts:
    """Return the facts once everything is made and one Envoy runs it."""
    rendering = render_gateway(facts, settings)
    made = with_children(facts, settings)
    pod = envoy_pod()
    return replace(
        with_children(made, settings),
        pods=(pod,),
        reports={pod.uid: wanted_report(facts, rendering)},
    )


def with_children(facts: GatewayFacts, settings: Settings = SETTINGS) -> GatewayFacts:
    """Return the facts once what one pass wants is made."""
    plan = plan_gateway(facts, render_gateway(facts, settings), settings)
    children = {identity(manifest): live(manifest) for manifest in plan.wanted}
    return replace(facts, children=Children(children))


def envoy_pod(*, ready: bool = True) -> PodFact:
    return PodFact(
        name=f"{names.GATEWAY}-1", uid="uid-envoy", phase="Running", ip="10.0.0.9",
        ready=ready, scheduled=True,
    )  # fmt: skip

"""The operator's rights are those it uses, both ways; what users may do is what they should."""

import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.local.control_plane import AuditRecord
from paddock.local.problems import LocalError
from paddock.plan.containment import contains
from paddock.plan.exported_pool import build_exported_pool, extension_of
from paddock.plan.gateway.exposure import build_http_route, build_ingress
from support.accounts import DEADLINE, AccountOperator, Story
from support.chart_site import Site
from support.charts import CHARTS, helm, rendered, rights_of, setting
from support.gateway_api import EXPORTED_POOLS, HTTP_ROUTES, exported_pools_crd, http_routes_crd
from support.plane import administrator
from support.rights import CREATED, rights_used, used_by
from support.world import inference_pool, local_model

pytestmark = pytest.mark.contract
SOURCE = "https://models.example.com/tiny.gguf"
OTHER = "https://models.example.com/other.gguf"
TELEMETRY = {"collector": "Managed", "otlp": {"endpoint": "https://otel.example.com"}}
PARENT = "infra/public"
HOST = "models.example.com"
_NOT_SERVED_YET = "the server doesn't have a resource type"
"""kubectl's words, on the other stream than its "no", until it is told of new kinds."""
PICKER = {"name": "picker", "port": 9002, "podLabels": {"app": "picker"}}
POOLS = "inferencepools.paddock.dev"
COLLECTORS = ("chat-collector", names.GATEWAY_COLLECTOR)


@pytest.fixture(params=[True, False], ids=["cluster-wide", "namespaced"])
def story(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Story]:
    """Install by the charts, and run the operator with what its ServiceAccount was given."""
    site.install("kinds", "paddock-crds")
    site.wait_for_kinds()
    wide = request.param
    site.install(
        "operator", "paddock", crds__enabled=False, clusterWide=wide, replicas=0,
        exposure__gateway=parent(wide=wide), exposure__inferenceExtension=wide,
    )  # fmt: skip
    options = ("--parent-gateway", PARENT, "--inference-extension") if wide else ()
    operator = AccountOperator(site, tmp_path, clusterwide=wide, options=options)
    operator.start()
    yield Story(site, operator)
    operator.stop()


def parent(*, wide: bool) -> str:
    """Return the Gateway of HTTPRoutes: one operator has one, the other makes none.

    So it is with the inference extension's pools.
    """
    return PARENT if wide else ""


def tell_everything(story: Story) -> None:
    """Go through every kind of child: made, drifted, put right, pruned, replaced, let go."""
    story.apply(
        local_model("tiny", SOURCE),
        local_model("second", SOURCE, storage={"claimName": "tiny-weights", "retain": "Delete"}),
    )
    story.finish_pull("tiny")
    story.finish_pull("second")
    story.apply(inference_pool("chat", "LlamaCpp", "tiny", "second", replicas=2))
    story.operator.until("the pool has its budget", lambda: story.get("pdb", "chat"))
    nudge_the_gateway(story)
    expose_the_gateway(story)
    if story.operator.clusterwide:
        export_the_pool(story)
    story.until_drift_is_undone("deployment", "chat", {"spec": {"replicas": 5}})
    story.until_drift_is_undone("service", "chat", {"spec": {"selector": {"x": "y"}}})
    story.until_drift_is_undone("configmap", "chat", {"data": {"models.ini": "changed"}})
    story.until_drift_is_undone("networkpolicy", "chat", {"spec": {"policyTypes": ["Ingress"]}})
    story.until_drift_is_undone("pdb", "chat", {"spec": {"maxUnavailable": 0}})
    meet_a_conflict(story)
    for kind in ("pdb", "configmap"):
        story.operator.until(f"no {kind}", lambda kind=kind: story.get(kind, "chat") is None)
    story.apply(inference_pool("chat", "LlamaCpp", "tiny", telemetry=TELEMETRY))
    for collector in COLLECTORS:
        story.operator.until("a Collector", lambda name=collector: story.get("networkpolicy", name))
    story.apply(inference_pool("chat", "LlamaCpp", "tiny", scaling={"min": 1}))
    for kind, collector in product(("deployment", "configmap", "networkpolicy"), COLLECTORS):
        story.operator.until(
            f"no Collector's {kind}",
            lambda kind=kind, name=collector: story.get(kind, name) is None,
        )
    scaled = ("scale", "deployment/chat", "--replicas=0")
    story.site.kubectl("-n", story.site.namespace, *scaled)
    story.operator.until("least replicas", lambda: _replicas(story) == 1)
    story.apply(local_model("grown", SOURCE, storage={"size": "1Gi"}))
    story.pulling("grown")
    story.apply(local_model("grown", OTHER, storage={"size": "1Gi", "retain": "Delete"}))
    story.operator.until(
        "the claim belongs to its model",
        lambda: (story.get("pvc", "grown-weights") or {})["metadata"].get("ownerReferences"),
    )
    story.operator.until("one pull of the new source", lambda: _pulls(story, "grown") == 1)
    story.operator.until("a finalizer", lambda: _finalizers(story, "second"))
    story.patch("localmodel", "second", {"spec": {"storage": {"retain": "Retain"}}})
    story.operator.until("no finalizer", lambda: not _finalizers(story, "second"))


def _finalizers(story: Story, model: str) -> list[str]:
    found: list[str] = (story.get("localmodel", model) or {})["metadata"].get("finalizers", [])
    return found


def meet_a_conflict(story: Story) -> None:
    """Have a child change while it is deleted: the operator reads its pool again, only then."""
    budgets = f"/apis/policy/v1/namespaces/{story.site.namespace}/poddisruptionbudgets"
    with story.restless(f"{budgets}/chat"):
        story.apply(inference_pool("chat", "LlamaCpp", "tiny", replicas=1))
        story.operator.until("the pool is read again", lambda: _is_read(story, POOLS))


def _is_read(story: Story, kind: str) -> bool:
    return any(each.verb == "get" for each in _requests(story, kind))


def _requests(story: Story, kind: str) -> list[AuditRecord]:
    records = used_by(story.site.plane, story.operator.user)
    return [each for each in records if f"{each.resource}.{each.group}" == kind]


def nudge_the_gateway(story: Story) -> None:
    """Have a gateway's pod that is ready and runs no configuration that we know."""
    ours = f"{names.COMPONENT_LABEL}={names.GATEWAY_COMPONENT}"
    pods = story.operator.until("a gateway", lambda: story.every("pods", ours))
    name = str(pods[0]["metadata"]["name"])
    ready = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "podIP": "127.0.0.1", "conditions": [ready]}
    story.patch("pod", name, {"status": status}, "--subresource=status")
    story.operator.until(
        "its kubelet is told to look",
        lambda: (
            names.NUDGE_ANNOTATION
            in (story.get("pod", name) or {})["metadata"].get("annotations", {})
        ),
    )


def expose_the_gateway(story: Story) -> None:
    """Ask for a way in by each kind; let it go again."""
    if story.operator.clusterwide:
        route_to_the_gateway(story)
    expose(story, {"by": "Ingress", "host": HOST})
    ingress = story.operator.until("an Ingress", lambda: _one(story, "ingress"))
    (wanted,) = build_ingress({}, [_pool(story)], None)
    assert contains(ingress["spec"], wanted["spec"])
    expose(story, None)
    story.operator.until("no Ingress", lambda: _one(story, "ingress") is None)


def route_to_the_gateway(story: Story) -> None:
    """Have an HTTPRoute where the cluster has no such kind, has it, and refuses the route."""
    expose(story, {"by": "HTTPRoute", "host": HOST})
    until_told(story, "The cluster has no HTTPRoutes")
    story.site.kubectl("apply", "--server-side", "-f", str(http_routes_crd()))
    administrator(story.site.plane).await_crds(f"crd/{HTTP_ROUTES}")
    route = story.operator.until("a route", lambda: _one(story, HTTP_ROUTES))
    (wanted,) = build_http_route({}, [_pool(story)], PARENT)
    assert contains(route["spec"], wanted["spec"])
    refuse(story, HTTP_ROUTES, names.GATEWAY, route["spec"]["parentRefs"][0])
    until_told(story, "The Gateway public does not take the route: not from here.")
    expose(story, None)
    story.operator.until("no route", lambda: _one(story, HTTP_ROUTES) is None)


def expose(story: Story, asked: dict[str, str] | None) -> None:
    story.patch(POOLS, "chat", {"spec": {"gateway": {"expose": asked}}})


def export_the_pool(story: Story) -> None:
    """Have the pool exported where the cluster has no such kind, has it, drifts, and refuses it."""
    export(story, {"endpointPicker": PICKER})
    until_told(story, f"The cluster has no {EXPORTED_POOLS} of version v1")
    story.site.kubectl("apply", "--server-side", "-f", str(exported_pools_crd()))
    administrator(story.site.plane).await_crds(f"crd/{EXPORTED_POOLS}")
    made = story.operator.until("an exported pool", lambda: story.get(EXPORTED_POOLS, "chat"))
    pool = _pool(story)
    asked = extension_of(pool)
    assert asked is not None
    assert contains(made["spec"], build_exported_pool(pool, asked)["spec"])
    assert {"podSelector": {"matchLabels": {"app": "picker"}}} in _peers(story)
    drift = {"spec": {"endpointPickerRef": {"name": "other"}}}
    story.until_drift_is_undone(EXPORTED_POOLS, "chat", drift)
    refuse(story, EXPORTED_POOLS, "chat", {"name": "public"})
    until_told(story, "The Gateway public does not take the exported pool: not from here.")
    writes = [each.code for each in _requests(story, EXPORTED_POOLS) if each.verb == "patch"]
    assert writes == [CREATED, 200], "made, and put right once"
    export(story, None)
    story.operator.until("no exported pool", lambda: story.get(EXPORTED_POOLS, "chat") is None)
    story.operator.until("the picker is shut out", lambda: "picker" not in str(_peers(story)))


def export(story: Story, asked: dict[str, Any] | None) -> None:
    story.patch(POOLS, "chat", {"spec": {"gateway": {"inferenceExtension": asked}}})


def _peers(story: Story) -> list[dict[str, Any]]:
    policy = story.get("networkpolicy", "chat") or {}
    found: list[dict[str, Any]] = policy["spec"]["ingress"][0]["from"]
    return found


def refuse(story: Story, kind: str, name: str, parent: dict[str, Any]) -> None:
    """Say what a Gateway's controller says of what it does not take."""
    said = {
        "type": "Accepted", "status": "False", "reason": "NotAllowedByListeners",
        "message": "not from here", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    told = {
        "parentRef": parent,
        "controllerName": "example.com/controller",
        "conditions": [said],
    }
    story.patch(kind, name, {"status": {"parents": [told]}}, "--subresource=status")


def until_told(story: Story, words: str) -> None:
    def told() -> bool:
        conditions = (story.get(POOLS, "chat") or {})["status"]["conditions"]
        return any(words in each["message"] for each in conditions)

    story.operator.until(words, told)


def _pool(story: Story) -> InferencePool:
    return InferencePool.model_validate(story.get(POOLS, "chat"))


def _one(story: Story, kind: str) -> dict[str, Any] | None:
    return story.get(kind, names.GATEWAY)


def _replicas(story: Story) -> int:
    return int((story.get("deployment", "chat") or {})["spec"]["replicas"])


def _pulls(story: Story, model: str) -> int:
    return len(story.every("jobs", f"paddock.dev/model={model}"))


def test_rights_used_are_the_rights_granted(story: Story) -> None:
    tell_everything(story)
    records = used_by(story.site.plane, story.operator.user)
    assert [record for record in records if record.code in (401, 403)] == []
    values = {
        "crds.enabled": False,
        "clusterWide": story.operator.clusterwide,
        "exposure.gateway": parent(wide=story.operator.clusterwide),
        "exposure.inferenceExtension": story.operator.clusterwide,
    }
    used, granted = rights_used(records), rights_of(rendered("paddock", values))
    assert granted - used == set()
    assert used - granted == set()
    if not story.operator.clusterwide:
        assert {record.namespace for record in records} == {story.site.namespace}


MAY: list[tuple[str, str, str, bool]] = [
    ("view", "list", "localmodels.paddock.dev", True),
    ("view", "watch", "inferencepools.paddock.dev", True),
    ("view", "create", "localmodels.paddock.dev", False),
    ("view", "delete", "inferencepools.paddock.dev", False),
    ("edit", "get", "localmodels.paddock.dev", True),
    ("edit", "create", "inferencepools.paddock.dev", True),
    ("edit", "patch", "localmodels.paddock.dev", True),
    ("edit", "delete", "localmodels.paddock.dev", True),
    ("edit", "patch", "inferencepools.paddock.dev/scale", True),
    ("edit", "patch", "inferencepools.paddock.dev/status", False),
    ("admin", "create", "localmodels.paddock.dev", True),
    ("admin", "patch", "localmodels.paddock.dev/status", True),
]


def test_users_of_a_namespace_may_do_with_models_what_their_role_says(site: Site) -> None:
    site.install("kinds", "paddock-crds")
    for role in ("view", "edit", "admin"):
        bind(site, role, f"{role}-user")
    for role, verb, resource, allowed in MAY:
        if allowed:
            wait_until_allowed(site, f"{role}-user", verb, resource)
    told = [
        (role, verb, resource, can(site, f"{role}-user", verb, resource))
        for role, verb, resource, _ in MAY
    ]
    assert told == MAY


def test_namespaces_own_administrator_installs_an_operator_that_stays_in(
    site: Site, tmp_path: Path
) -> None:
    site.install("kinds", "paddock-crds")
    bind(site, "admin", "tenant")
    wait_until_allowed(site, "tenant", "patch", "localmodels.paddock.dev/status")
    wait_until_allowed(site, "tenant", "patch", "localmodels.paddock.dev")
    tenant = site.plane.user_kubeconfig("tenant")
    values = setting({"clusterWide": False, "crds.enabled": False, "replicas": 0})
    release = ("--namespace", site.namespace, *values)
    with pytest.raises(LocalError, match="forbidden"):
        helm("install", "wide", str(CHARTS / "paddock"), "--namespace", site.namespace,
             "--set-json=crds.enabled=false", kubeconfig=tenant)  # fmt: skip
    helm("install", "own", str(CHARTS / "paddock"), *release, kubeconfig=tenant)
    account = f"system:serviceaccount:{site.namespace}:paddock-operator"
    assert not can(site, account, "list", "localmodels.paddock.dev", namespace="default")
    assert not can(site, account, "get", "secrets")
    operator = AccountOperator(site, tmp_path, clusterwide=False)
    operator.start()
    try:
        story = Story(site, operator)
        story.apply(local_model("tiny", SOURCE))
        story.finish_pull("tiny")
    finally:
        operator.stop()
    helm("uninstall", "own", "--namespace", site.namespace, kubeconfig=tenant)


def bind(site: Site, role: str, user: str) -> None:
    site.kubectl(
        "-n", site.namespace, "create", "rolebinding", user, f"--clusterrole={role}",
        f"--user={user}",
    )  # fmt: skip


def can(site: Site, user: str, verb: str, resource: str, *, namespace: str = "") -> bool:
    target, _, subresource = resource.partition("/")
    group = [f"--subresource={subresource}"] if subresource else []
    try:
        site.kubectl(
            "auth", "can-i", verb, target, *group, f"--as={user}", "-n", namespace or site.namespace
        )
    except LocalError as error:
        words = str(error).rstrip()
        if words.endswith("no") or _NOT_SERVED_YET in words:
            return False
        raise
    return True


def wait_until_allowed(site: Site, user: str, verb: str, resource: str) -> None:
    """Wait until the controller has added our roles to Kubernetes' own."""
    deadline = time.monotonic() + DEADLINE
    while not can(site, user, verb, resource):
        assert time.monotonic() < deadline, f"{user} may never {verb} {resource}"
        time.sleep(0.1)

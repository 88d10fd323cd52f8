"""Tokens of real service accounts at a real Envoy: whom a pool names is answered, no other."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.callers import Callers
from paddock.clock import SystemClock
from paddock.kube.real import RealCluster
from paddock.local.control_plane import ControlPlane
from paddock.observe.issuer import ClusterIssuer
from paddock.plan.gateway.rendering import Surroundings, render
from paddock.plan.gateway.tokens import account_audience
from paddock.wire import Json
from support.answering import Answering, answering
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, BETA
from support.plane import kubectl
from support.pools import DIGEST
from support.stores import pool_of, ready_model, renamed

pytestmark = pytest.mark.contract
MODELS = {"alpha": ALPHA, "beta": BETA, "gamma": ready_model("gamma", DIGEST)}


@pytest.fixture
def backend() -> Iterator[Answering]:
    with answering("engine") as server:
        yield server


def pool_for(name: str, model: str, **gateway: Json) -> InferencePool:
    return renamed(pool_of(EngineName.LLAMA_CPP, model, gateway=gateway), name)


def token_of(plane: ControlPlane, namespace: str, account: str, *audience: str) -> str:
    meant = [f"--audience={each}" for each in audience]
    return kubectl(plane, "-n", namespace, "create", "token", account, *meant).strip()


def statuses(running: Gateway, token: str) -> list[int]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return [
        httpx.post(
            f"{running.url}/v1/completions",
            json={"model": model, "prompt": "hi"}, headers=headers, timeout=30,
        ).status_code
        for model in ("alpha", "gamma", "beta", "absent")
    ]  # fmt: skip


def listed(running: Gateway, token: str) -> list[str]:
    headers = {"Authorization": f"Bearer {token}"}
    found = httpx.get(f"{running.url}/v1/models", headers=headers, timeout=30).json()["data"]
    return [each["id"] for each in found]


async def test_account_that_a_pool_names_is_answered_and_no_other(
    control_plane: ControlPlane,
    cluster: RealCluster,
    namespace: str,
    backend: Answering,
    tmp_path: Path,
) -> None:
    for account in ("chat", "batch", "stranger"):
        kubectl(control_plane, "-n", namespace, "create", "serviceaccount", account)
    kubectl(control_plane, "-n", "default", "create", "serviceaccount", f"chat-{namespace}")
    issuer = await ClusterIssuer(cluster, SystemClock()).issuer()
    pools = [
        pool_for("a", "alpha", auth={"serviceAccounts": ["chat"]}),
        pool_for("b", "gamma", auth={"serviceAccounts": ["chat", "batch"]}),
        pool_for("c", "beta"),
    ]
    pools = [moved(pool, namespace) for pool in pools]
    place = free_place(tmp_path)
    rendering = render(namespace, pools, MODELS, Surroundings(place=place), Callers(cluster=issuer))
    backends = {f"{name}.{namespace}": backend.address for name in "abc"}
    audience = account_audience(namespace)
    with gateway(rendering, place, tmp_path, backends) as running:
        chat = token_of(control_plane, namespace, "chat", audience)
        batch = token_of(control_plane, namespace, "batch", audience)
        assert statuses(running, chat) == [200, 200, 200, 403]
        assert "authorization" not in backend.headers[-1]
        assert statuses(running, batch) == [403, 200, 200, 403]
        stranger = token_of(control_plane, namespace, "stranger", audience)
        assert statuses(running, stranger) == [403, 403, 200, 403]
        assert [listed(running, token) for token in (chat, batch, stranger)] == [
            ["alpha", "beta", "gamma"], ["beta", "gamma"], ["beta"],
        ]  # fmt: skip
        elsewhere = account_audience("elsewhere")
        for wrong in (
            "",
            token_of(control_plane, namespace, "chat"),
            token_of(control_plane, namespace, "chat", elsewhere),
            "x.y.z",
        ):
            assert statuses(running, wrong) == [401, 401, 200, 401]
        foreign = token_of(control_plane, "default", f"chat-{namespace}", audience)
        assert statuses(running, foreign) == [403, 403, 200, 403]
        counted = pool_for(
            "b",
            "gamma",
            auth={"serviceAccounts": ["chat", "batch"]},
            limits={"requestsPerMinute": 1},
        )
        pools[1] = moved(counted, namespace)
        around = Surroundings(place=place)
        running.take(render(namespace, pools, MODELS, around, Callers(cluster=issuer)))
        assert [statuses(running, token)[1] for token in (chat, batch, chat)] == [200, 200, 429]


def moved(pool: InferencePool, namespace: str) -> InferencePool:
    metadata = pool.metadata.model_copy(update={"namespace": namespace})
    return pool.model_copy(update={"metadata": metadata})


def test_every_account_may_read_who_signs_tokens(
    control_plane: ControlPlane, namespace: str
) -> None:
    account = [
        "--as",
        f"system:serviceaccount:{namespace}:x",
        "--as-group",
        "system:serviceaccounts",
    ]
    for path in ("/openid/v1/jwks", "/.well-known/openid-configuration"):
        answer = kubectl(control_plane, "auth", "can-i", "get", path, *account)
        assert answer.strip() == "yes"

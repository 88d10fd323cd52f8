"""The activator's rights are those it uses, both ways, by the apiserver's own audit log."""

from pathlib import Path

import httpx
import pytest

from paddock import names
from paddock.kube.real import RealCluster
from paddock.local.control_plane import ControlPlane
from paddock.local.install import NAMESPACE, build_install
from support.charts import rights_of
from support.rights import rights_used, used_by
from support.zero import CHAT, activator, headers_of, make_pool, node_of

pytestmark = pytest.mark.contract


async def test_rights_used_are_the_rights_granted(
    control_plane: ControlPlane, cluster: RealCluster, namespace: str, tmp_path: Path
) -> None:
    control_plane.wait_until_pods_are_admitted()
    with activator(control_plane, tmp_path / "activator") as front:
        async with (
            node_of(cluster, namespace, tmp_path / "node") as node,
            httpx.AsyncClient(base_url=front.url, timeout=60) as client,
        ):
            make_pool(control_plane, namespace, node.port, scaling={"min": 0})
            answer = await client.post(
                "/v1/chat/completions", json=CHAT, headers=headers_of(namespace)
            )
    assert answer.status_code == 200
    records = used_by(control_plane, f"system:serviceaccount:{NAMESPACE}:{names.ACTIVATOR}")
    assert rights_used(records) == rights_of([*map(dict, build_install("none", ()))], "activator")

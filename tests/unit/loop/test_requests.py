"""A request is sent by the loop alone: no thread reads files for it, and no file adds to it."""

import asyncio
import json
import threading
from pathlib import Path

import pytest
from aiohttp import web

from paddock.kinds import CONFIG_MAPS
from paddock.kube.real import connect


async def test_request_needs_no_thread_and_reads_no_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"kind": "ConfigMap"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    cluster = await connect(str(kubeconfig(tmp_path, runner.addresses[0][1])))
    before = threading.active_count()
    await asyncio.gather(*(cluster.get(CONFIG_MAPS, "team", str(each)) for each in range(20)))
    assert threading.active_count() == before
    assert seen == [None] * 20
    await cluster.close()
    await runner.cleanup()


def kubeconfig(folder: Path, port: int) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {}}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return file

"""The port-forward's framing against a little apiserver that speaks v4.channel.k8s.io."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client import Configuration

from paddock.errors import ApiError
from paddock.kube.tunnel import open_tunnel

pytestmark = pytest.mark.contract
PATH = "/api/v1/namespaces/team/pods/chat-1/portforward"
CANARY = "canary"
PORT = b"\x90\x1f"
"""8080, as the kubelet writes it."""


async def echo(socket: web.WebSocketResponse) -> None:
    """Answer as a pod would: the preambles first, one of them cut in two, then what is sent."""
    await socket.send_bytes(b"\x00" + PORT[:1])
    await socket.send_bytes(b"\x00" + PORT[1:])
    await socket.send_bytes(b"\x01" + PORT)
    async for message in socket:
        content = message.data[1:]
        if content == b"fail":
            await socket.send_bytes(b"\x01" + b"connection refused")
            continue
        for byte in content:
            await socket.send_bytes(b"\x00" + bytes((byte,)))


async def forward(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Authorization") != "Bearer canary":
        return web.Response(status=403)
    assert request.query["ports"] == "8080"
    socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
    await socket.prepare(request)
    await echo(socket)
    return socket


@pytest_asyncio.fixture
async def server() -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get(PATH, forward)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


def configuration(server: str, secret: str = CANARY) -> Configuration:
    made = Configuration(host=server)
    made.api_key = {"BearerToken": f"Bearer {secret}"}
    return made


async def exchange(url: str, words: bytes) -> bytes:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(words)
    await writer.drain()
    try:
        return await asyncio.wait_for(reader.readexactly(len(words)), 10)
    except asyncio.IncompleteReadError as error:
        return error.partial
    finally:
        writer.close()
        await writer.wait_closed()


async def test_bytes_pass_both_ways_without_the_preambles(server: str) -> None:
    async with open_tunnel(configuration(server), "team", "chat-1", 8080) as url:
        assert await exchange(url, b"hello") == b"hello"


async def test_connections_do_not_mix(server: str) -> None:
    words = [bytes([65 + index]) * 50 for index in range(8)]
    async with open_tunnel(configuration(server), "team", "chat-1", 8080) as url:
        assert await asyncio.gather(*(exchange(url, each) for each in words)) == words


async def test_error_of_the_pod_ends_the_connection(server: str) -> None:
    async with open_tunnel(configuration(server), "team", "chat-1", 8080) as url:
        assert await exchange(url, b"fail") == b""


async def test_refusal_is_told_before_anything_is_sent(server: str) -> None:
    with pytest.raises(ApiError) as refused:
        async with open_tunnel(configuration(server, "other"), "team", "chat-1", 8080):
            raise AssertionError("unreachable")
    assert refused.value.status == 403
    assert "canary" not in str(refused.value)


async def test_nothing_listens_after_the_block(server: str) -> None:
    async with open_tunnel(configuration(server), "team", "chat-1", 8080) as url:
        place = urlsplit(url)
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asyncio.open_connection(place.hostname, place.port)


async def test_open_connection_does_not_hold_the_end_up(server: str) -> None:
    async with asyncio.timeout(10):
        async with open_tunnel(configuration(server), "team", "chat-1", 8080) as url:
            place = urlsplit(url)
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            writer.write(b"x")
            await reader.readexactly(1)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_server_that_is_gone_is_told(server: str) -> None:
    del server
    with pytest.raises(ApiError) as refused:
        async with open_tunnel(configuration("http://127.0.0.1:1"), "team", "chat-1", 8080):
            raise AssertionError("unreachable")
    assert refused.value.status == 0
    assert aiohttp.ClientConnectorError.__name__ in str(refused.value)

"""A pod's port on this machine: the apiserver's port-forward over WebSockets, as kubectl's is.

I/O. It passes where NetworkPolicy lets nothing else pass, and needs no more than the user's right
to `pods/portforward`. Each local connection is a WebSocket of its own; nothing is logged.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from paddock.errors import ApiError
from paddock.kube.credentials import authorization_of

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_PREAMBLE = 2
"""Each channel starts with its port, two bytes, which says nothing new."""
_CHUNK = 65_536
_CONNECT_SECONDS = 30
_ABORTS = sys.version_info < (3, 12, 7)
"""Whether Python may leave a TLS connection open that was closed (cpython 118960): aiohttp then
aborts it when the session ends, and warns where that is not needed.
"""


@contextlib.asynccontextmanager
async def open_tunnel(
    configuration: Configuration, namespace: str, pod: str, port: int
) -> AsyncIterator[str]:
    """Give the base URL under which the pod's port answers here while the block runs.

    Raises ApiError if the apiserver refuses; what the pod refuses closes the connection.
    """
    client = ApiClient(configuration)
    tls = client.rest_client.ssl_context
    connector = aiohttp.TCPConnector(ssl=tls, limit=0, enable_cleanup_closed=_ABORTS)
    headers = await authorization_of(configuration)
    query = urlencode({"ports": port})
    url = f"{configuration.host}/api/v1/namespaces/{namespace}/pods/{pod}/portforward?{query}"
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        tunnel = _Tunnel(session, url, configuration.proxy)
        await tunnel.try_once()
        server = await asyncio.start_server(tunnel.carry, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await tunnel.close()
    await client.close()


class _Tunnel:
    """Carries local connections through WebSockets to one pod."""

    def __init__(self, session: aiohttp.ClientSession, url: str, proxy: str | None) -> None:
        self._session, self._url, self._proxy = session, url, proxy
        self._carried: set[asyncio.Task[object]] = set()

    async def try_once(self) -> None:
        """Open a WebSocket and close it, so that a refusal is told before anything is sent."""
        socket = await self._connect()
        await socket.close()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one local connection until either side ends it."""
        task = asyncio.current_task()
        if task is not None:
            self._carried.add(task)
            task.add_done_callback(self._carried.discard)
        with contextlib.suppress(ApiError, OSError, asyncio.CancelledError):
            socket = await self._connect()
            up = asyncio.ensure_future(_send(reader, socket))
            try:
                await _receive(socket, writer)
            finally:
                up.cancel()
                await socket.close()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def close(self) -> None:
        """End every connection."""
        for task in tuple(self._carried):
            task.cancel()
        await asyncio.gather(*self._carried, return_exceptions=True)

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        try:
            return await asyncio.wait_for(
                self._session.ws_connect(
                    self._url, protocols=(_PROTOCOL,), max_msg_size=0, proxy=self._proxy
                ),
                _CONNECT_SECONDS,
            )
        except aiohttp.WSServerHandshakeError as error:
            words = f"The apiserver does not forward to the pod (HTTP {error.status})."
            raise ApiError(error.status, words) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            words = f"The apiserver did not answer ({type(error).__name__})."
            raise ApiError(0, words) from error


async def _send(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    """Carry bytes to the pod until the local side ends."""
    while chunk := await reader.read(_CHUNK):
        await socket.send_bytes(bytes((_DATA,)) + chunk)


async def _receive(socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    """Carry the pod's bytes until it ends; an error it reports ends the connection."""
    left = {_DATA: _PREAMBLE, _ERROR: _PREAMBLE}
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, content = message.data[0], message.data[1:]
        skipped = min(left.get(channel, 0), len(content))
        left[channel] = left.get(channel, 0) - skipped
        if not content[skipped:]:
            continue
        if channel == _ERROR:
            return
        writer.write(content[skipped:])
        await writer.drain()

"""`python3 -m paddock.activator`: wiring; runs until SIGTERM, then lets what it holds end."""

import asyncio
import logging
import os
import signal
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import click
from aiohttp import web

from paddock import names
from paddock.activator.apiserver import Apiserver
from paddock.activator.limits import Limits
from paddock.activator.peers import Peers
from paddock.activator.server import Front, build_app, build_probes
from paddock.activator.waking import Wakes

_DEFAULT = Limits()
log = logging.getLogger("paddock.activator")
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where the activator listens and which apiserver it asks, as whom."""

    server: str
    token_file: Path
    ca_file: Path
    port: int
    health_port: int
    namespace: str | None


def _in_cluster() -> str:
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


@click.command(context_settings={"auto_envvar_prefix": "PADDOCK_ACTIVATOR"})
@click.option("--namespace", help="Serve pools of this one namespace; all by default.")
@click.option("--server", default=_in_cluster, help="The apiserver; the pod's own by default.")
@click.option("--token-file", type=Path, default=_ACCOUNT / "token")
@click.option("--ca-file", type=Path, default=_ACCOUNT / "ca.crt")
@click.option("--port", default=names.ACTIVATOR_PORT, show_default=True)
@click.option("--health-port", default=names.HEALTH_PORT, show_default=True)
@click.option("--waiting", default=_DEFAULT.waiting, show_default=True, help="Per pool.")
@click.option("--hold-seconds", default=_DEFAULT.hold_seconds, show_default=True)
@click.option("--heartbeat-seconds", default=_DEFAULT.heartbeat_seconds, show_default=True)
def main(  # noqa: PLR0913 - one parameter per documented option
    *,
    namespace: str | None,
    server: str,
    token_file: Path,
    ca_file: Path,
    port: int,
    health_port: int,
    waiting: int,
    hold_seconds: float,
    heartbeat_seconds: float,
) -> None:
    """Hold requests for pools at zero, wake each pool once, hand the requests over."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    place = Place(server, token_file, ca_file, port, health_port, namespace)
    limits = Limits(waiting=waiting, hold_seconds=hold_seconds, heartbeat_seconds=heartbeat_seconds)
    asyncio.run(run(place, limits))


async def run(place: Place, limits: Limits) -> None:
    """Serve until SIGTERM or SIGINT; requests under way then have their time to end."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        context = ssl.create_default_context(cafile=place.ca_file)
        to_apiserver = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context), read_bufsize=_LINE_BYTES
            )
        )
        engines = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(sock_connect=5, sock_read=limits.silence_seconds),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        )
        apiserver = Apiserver(to_apiserver, place.server, place.token_file)
        front = Front(
            limits=limits,
            peers=Peers(apiserver),
            wakes=Wakes(apiserver, engines),
            engines=engines,
            namespace=place.namespace,
        )
        for app, port in ((build_app(front), place.port), (build_probes(), place.health_port)):
            runner = web.AppRunner(
                app, access_log=None, handler_cancellation=True,
                shutdown_timeout=limits.hold_seconds, auto_decompress=False,
            )  # fmt: skip
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, port=port).start()
        log.info("serving on port %d", place.port)
        await stop.wait()
        log.info("ending")


if __name__ == "__main__":
    main(prog_name="paddock.activator")

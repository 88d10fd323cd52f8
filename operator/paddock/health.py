"""The operator's own probes, /healthz and /readyz, and /metrics; no user's text in them.

An event loop that is blocked answers neither, which is what liveness asks.
"""

from collections.abc import Callable

from aiohttp import web

from paddock.telemetry.exposition import CONTENT_TYPE


def build_app(
    trouble: Callable[[], str | None], standing: Callable[[], str], scrape: Callable[[], str]
) -> web.Application:
    """Return the probe server's application.

    `trouble` says why this process is not ready, if it is not; `standing` is its part when it is;
    `scrape` returns what Prometheus reads.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(_: web.Request) -> web.Response:
        said = trouble()
        return web.Response(status=200 if said is None else 503, text=said or standing())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=scrape(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app

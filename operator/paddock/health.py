"""The operator's own probes: /healthz and /readyz, and nothing else; no user's text in them."""

from collections.abc import Callable

from aiohttp import web


def build_app(is_alive: Callable[[], bool], is_ready: Callable[[], bool]) -> web.Application:
    """Return the probe server's application."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(is_alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(is_ready())

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


def _answer(good: bool) -> web.Response:  # noqa: FBT001 - the one fact the answer states
    return web.Response(status=200 if good else 503, text="ok" if good else "not ready")

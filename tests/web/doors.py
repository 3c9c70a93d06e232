"""A door: an application behind the checks that every request passes."""

from __future__ import annotations

from aiohttp import web

from sidecar.web.checks import check_origin, check_token, read_json_body
from sidecar.web.errors import Handler, answer_errors

HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


def door(hosts=HOSTS, token: str | None = None) -> web.Application:
    """An application that answers with the body's size to whoever gets in."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await answer_errors(request, lambda r: checked(r, handler))

    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        check_origin(request, hosts)
        check_token(request, token)
        return await handler(request)

    async def size(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_json_body(request))))

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="alive")

    app = web.Application(middlewares=[guarded], client_max_size=1000)
    app.router.add_post("/", size)
    app.router.add_get("/", alive)
    return app

"""The data plane: what apps call. What is not listed here is not served, and never passed on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import orjson
from aiohttp import web

from sidecar.web.chat import ChatEndpoint
from sidecar.web.checks import check_origin
from sidecar.web.drain import Drain
from sidecar.web.errors import OPENAI, Handler, answer_errors


@dataclass(frozen=True, slots=True)
class DataPlaneSettings:
    """What config says about the door as a whole."""

    allowed_hosts: Collection[str]
    max_body_bytes: int
    models: Sequence[str]


def data_plane(
    settings: DataPlaneSettings, chats: Mapping[str, ChatEndpoint], drain: Drain
) -> web.Application:
    """The aiohttp application of the data plane; `chats` are its chat endpoints by path."""
    formats = {path: chat.format for path, chat in chats.items()}

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        format_ = formats.get(request.path, OPENAI)
        return await answer_errors(request, lambda r: checked(r, handler), format_)

    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        check_origin(request, settings.allowed_hosts)
        drain.check()
        return await handler(request)

    async def models(_: web.Request) -> web.Response:
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": "sidecar"}
            for name in settings.models
        ]
        return web.Response(
            body=orjson.dumps({"object": "list", "data": listed}), content_type="application/json"
        )

    app = web.Application(middlewares=[guarded], client_max_size=settings.max_body_bytes)
    for path, chat in chats.items():
        app.router.add_post(path, chat.complete)
    app.router.add_get("/v1/models", models)
    return app

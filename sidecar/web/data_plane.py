"""The data plane: what apps call. What is not listed here is not served, and never passed on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from aiohttp import web

from sidecar.web.checks import check_origin
from sidecar.web.drain import Drain
from sidecar.web.errors import OPENAI, Handler, answer_errors
from sidecar.wire.format import Format


@dataclass(frozen=True, slots=True)
class DataPlaneSettings:
    """What config says about the door as a whole."""

    allowed_hosts: Collection[str]
    max_body_bytes: int
    models: Sequence[str]


class Door(Protocol):
    """What answers `POST` requests at one path, and how errors are spelled there."""

    @property
    def format(self) -> Format:
        """The format of its errors."""
        ...

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Answer one request."""
        ...


def anyone(headers: Mapping[str, str]) -> None:
    """Where no clients are configured any key is accepted."""


def data_plane(
    settings: DataPlaneSettings,
    doors: Mapping[str, Door],
    drain: Drain,
    check_client: Callable[[Mapping[str, str]], object] = anyone,
) -> web.Application:
    """The aiohttp application of the data plane; `doors` are its endpoints by path.

    `check_client` raises for a caller that is none of the configured clients. It guards
    all but the doors, which ask it themselves so that a refusal leaves a row.
    """
    formats = {path: door.format for path, door in doors.items()}

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        format_ = formats.get(request.path, OPENAI)
        return await answer_errors(request, lambda r: checked(r, handler), format_)

    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        check_origin(request, settings.allowed_hosts)
        drain.check()
        if request.method != "POST" or request.path not in doors:
            check_client(request.headers)
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
    for path, door in doors.items():
        app.router.add_post(path, door.complete)
    app.router.add_get("/v1/models", models)
    return app

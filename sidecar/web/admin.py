"""The admin plane: health, metrics, the story of a request, purge, switches, reload."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Protocol

from aiohttp import web

from sidecar.domain import Json
from sidecar.errors import InvalidRequestError, NotFoundError
from sidecar.web.admin_money import MoneyOperations, add_money
from sidecar.web.answers import answer, verdict
from sidecar.web.checks import check_origin, check_token, read_json_body
from sidecar.web.errors import Handler, answer_errors
from sidecar.wire.body import read_object

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/startupz"})
"""What a probe may ask without a token; it tells nothing but yes or no."""
PURGE_FIELDS = ("tenant", "tag", "model", "prompt", "user", "entry", "all")
MODES = ("serve", "shadow", "off")
MAX_BODY_BYTES = 1 << 20


class Operations(Protocol):
    """What an operator can see and do."""

    def started(self) -> bool:
        """Whether start-up is over."""
        ...

    def ready(self) -> bool:
        """Whether requests can be answered."""
        ...

    def metrics(self) -> bytes:
        """Prometheus' text format."""
        ...

    def status(self) -> Mapping[str, Json]:
        """The state of the whole process."""
        ...

    async def request_row(self, request_id: str) -> Mapping[str, Json] | None:
        """Every decision taken for one request."""
        ...

    async def purge(self, field: str, value: str, *, dry_run: bool) -> int:
        """Forget entries; how many."""
        ...

    def set_mode(self, mode: str) -> None:
        """The kill switch."""
        ...

    def routes(self) -> Mapping[str, Json]:
        """Each model: who answers, who else could, how their breakers are."""
        ...

    async def toggle(self, name: str, variant: str | None) -> Mapping[str, Json]:
        """Let a variant answer for a model, or for all that have it."""
        ...

    async def reload(self) -> Mapping[str, Json]:
        """Read the config again and put it in force."""
        ...

    @property
    def finance(self) -> MoneyOperations:
        """What there is to see and do about money."""
        ...


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """What config says about this door."""

    allowed_hosts: Collection[str]
    token: str | None


def admin_plane(settings: AdminSettings, operations: Operations) -> web.Application:
    """The aiohttp application of the admin plane."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await answer_errors(request, lambda r: checked(r, handler))

    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        check_origin(request, settings.allowed_hosts)
        if request.path not in OPEN_PATHS:
            check_token(request, settings.token)
        return await handler(request)

    app = web.Application(middlewares=[guarded], client_max_size=MAX_BODY_BYTES)
    admin = AdminHandlers(operations)
    app.router.add_get("/healthz", admin.healthz)
    app.router.add_get("/readyz", admin.readyz)
    app.router.add_get("/startupz", admin.startupz)
    app.router.add_get("/metrics", admin.metrics)
    app.router.add_get("/api/status", admin.status)
    app.router.add_get("/api/requests/{id}", admin.request_row)
    app.router.add_post("/api/purge", admin.purge)
    app.router.add_put("/api/mode", admin.mode)
    app.router.add_get("/api/routes", admin.routes)
    # A model's name may hold slashes.
    app.router.add_put("/api/routes/{name:.+}", admin.toggle)
    app.router.add_post("/api/reload", admin.reload)
    app.router.add_get("/api/openapi.json", admin.openapi)
    add_money(app, operations.finance)
    return app


class AdminHandlers:
    """One method for each path."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._openapi = files("sidecar.web").joinpath("openapi.json").read_bytes()

    async def healthz(self, _: web.Request) -> web.Response:
        """The process is alive: its event loop answers."""
        return answer({"status": "alive"})

    async def readyz(self, _: web.Request) -> web.Response:
        """Requests can be answered; a lost provider doesn't change that."""
        return verdict(self._operations.ready(), "ready")

    async def startupz(self, _: web.Request) -> web.Response:
        """Start-up is over."""
        return verdict(self._operations.started(), "started")

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus' text format."""
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self._operations.metrics(), headers=headers)

    async def status(self, _: web.Request) -> web.Response:
        """The state of the whole process."""
        return answer(self._operations.status())

    async def request_row(self, request: web.Request) -> web.Response:
        """Every decision taken for one request."""
        request_id = request.match_info["id"]
        row = await self._operations.request_row(request_id)
        if row is None:
            raise NotFoundError(f"no request {request_id[:80]!r} is on record")
        return answer(row)

    async def purge(self, request: web.Request) -> web.Response:
        """Forget entries by one selector."""
        body = read_object(await read_json_body(request))
        dry_run = body.pop("dry_run", False)
        if not isinstance(dry_run, bool):
            raise InvalidRequestError("dry_run must be true or false", param="dry_run")
        field, value = read_selector(body)
        count = await self._operations.purge(field, value, dry_run=dry_run)
        return answer({"purged": 0 if dry_run else count, "matched": count, "dry_run": dry_run})

    async def mode(self, request: web.Request) -> web.Response:
        """Serve, shadow or off, for all requests from now on."""
        mode = read_object(await read_json_body(request)).get("mode")
        if mode not in MODES:
            raise InvalidRequestError(f"mode must be one of {', '.join(MODES)}", param="mode")
        self._operations.set_mode(mode)
        return answer({"mode": mode})

    async def routes(self, _: web.Request) -> web.Response:
        """Each model: who answers, who else could, how their breakers are."""
        return answer({"routes": self._operations.routes()})

    async def toggle(self, request: web.Request) -> web.Response:
        """Let a variant answer from the next request on; null: config's choice again."""
        body = read_object(await read_json_body(request))
        variant = body.get("active", "")
        if body.keys() != {"active"} or not (variant is None or isinstance(variant, str)):
            told = 'send {"active": "a variant\'s name"}, or null for what config says'
            raise InvalidRequestError(told, param="active")
        return answer(await self._operations.toggle(request.match_info["name"], variant))

    async def reload(self, _: web.Request) -> web.Response:
        """Read the config again and put it in force, whole or not at all."""
        return answer(await self._operations.reload())

    async def openapi(self, _: web.Request) -> web.Response:
        """The description of both planes."""
        return web.Response(body=self._openapi, content_type="application/json")


def read_selector(body: Mapping[str, Json]) -> tuple[str, str]:
    """The one field of a purge and its value."""
    if len(body) != 1 or (field := next(iter(body))) not in PURGE_FIELDS:
        raise InvalidRequestError(f"give exactly one of {', '.join(PURGE_FIELDS)}")
    value = body[field]
    if field == "all":
        if value is not True:
            raise InvalidRequestError('"all" must be true', param="all")
        return field, ""
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{field} must be a non-empty string", param=field)
    return field, value

"""The chat endpoints: HTTP and a format on this side, a call and a reply on the other.

What they have in common is here; how requests and answers are spelled is each format's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import getrandbits

from aiohttp import web

from sidecar.admission import CLIENT_LEFT, Admission, RateLimit
from sidecar.clock import Clock
from sidecar.domain import Call, ChatRequest, Completion, Dialect
from sidecar.errors import CacheMissError, SidecarError
from sidecar.events import Observers
from sidecar.idempotency.once import Made, Once, Piece
from sidecar.idempotency.recorded import Recorded, asked_digest, place_of
from sidecar.identify import (
    Client,
    IdentityRules,
    identify,
    keys_given,
    require_client,
    with_key,
)
from sidecar.memo import Memo
from sidecar.pipeline import Pipeline
from sidecar.reply import Reply
from sidecar.shedding import MISSES, Shedding, overloaded
from sidecar.trail import Trail
from sidecar.web.checks import read_json_body
from sidecar.web.errors import error_response
from sidecar.web.heads import base_head, reply_head
from sidecar.web.once import give, recorded
from sidecar.web.streams import HEADERS, live_events, replayed, write_live
from sidecar.web.visit import Visit
from sidecar.wire.anthropic_request import with_beta_header
from sidecar.wire.anthropic_tools import BETA_HEADER
from sidecar.wire.format import Format
from sidecar.wire.headers import (
    read_controls,
    read_idempotency_key,
    read_route,
    read_timeout_s,
    read_trace_parent,
)

JSON = "application/json"
REMEMBERED = 512
MOST_REMEMBERED_BYTES = 8192
"""What is larger takes longer to send than to read."""
_UNREAD = ChatRequest(model="", messages=())


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What config says about these doors. Another one takes its place when config changes."""

    disclose: bool
    tag_defaults: Mapping[str, str]
    identity: IdentityRules = field(default_factory=IdentityRules)
    rate_limits: tuple[RateLimit, ...] = ()


@dataclass(slots=True)
class Desk:
    """What all chat endpoints have in common. Without `once` an `Idempotency-Key` says nothing."""

    pipeline: Pipeline
    clock: Clock
    observers: Observers
    settings: ChatSettings
    in_flight: int = 0  # requests being answered
    admission: Admission = field(init=False)
    shedding: Shedding = field(default_factory=Shedding)
    once: Once | None = None

    def __post_init__(self) -> None:
        self.admission = Admission(self.clock)


class ChatEndpoint:
    """Answers calls in one format and closes each request's trail into a row."""

    def __init__(self, format_: Format, desk: Desk) -> None:
        self.format = format_
        self._desk = desk
        self._clock = desk.clock
        self._requests: Memo[bytes, ChatRequest] = Memo(REMEMBERED)
        self._tails: Memo[tuple[int, int], tuple[Completion, ChatRequest, bytes]] = Memo(REMEMBERED)

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Answer one request; whatever happens, it leaves a row."""
        # An id must be its own, not secret: this costs a tenth of the system's generator.
        request_id = f"req_{getrandbits(96):024x}"
        call = Call(request_id, self.format.endpoint, _UNREAD, received_at=self._clock.now())
        visit = Visit(Trail(call, self._clock))
        status = CLIENT_LEFT
        self._desk.in_flight += 1
        try:
            response = await self._answer(http, visit)
            status = response.status
        except ConnectionResetError:
            return web.Response(status=CLIENT_LEFT)  # nobody is there to read it
        except SidecarError as error:
            visit.failed(error.code)
            response = error_response(error, self.format, base_head(visit.trail))
            status = response.status
        finally:
            self._desk.in_flight -= 1
            visit.leave(status, self._desk.observers)
        return response

    async def _answer(self, http: web.Request, visit: Visit) -> web.StreamResponse:
        desk, trail = self._desk, visit.trail
        desk.shedding.check()
        client = require_client(http.headers, desk.settings.identity)
        body = await read_json_body(http)
        trail.call = self._read(trail.call, http.headers, body, client)
        visit.taken = desk.admission.admit(trail.call, len(body), desk.settings.rate_limits)
        key = read_idempotency_key(http.headers)
        if key is not None and desk.once is not None:
            return await self._answer_once(http, visit, body, key, desk.once)
        with await self._ask(trail.call, trail) as reply:
            return await self._respond(http, reply)

    def _read(
        self, unread: Call, headers: Mapping[str, str], body: bytes, client: Client | None
    ) -> Call:
        request = self._requests.get(body)
        if request is None:
            request = self.format.parse(body)
            if len(body) <= MOST_REMEMBERED_BYTES:
                self._requests.put(body, request)
        betas = headers.get(BETA_HEADER)
        if betas is not None and request.dialect is Dialect.ANTHROPIC:
            request = with_beta_header(request, betas)
        settings = self._desk.settings
        rules = settings.identity
        caller = identify(headers, request.labels, client, rules, settings.tag_defaults)
        caller, client_key = with_key(caller, headers, request.model, rules)
        return Call(
            unread.id,
            unread.endpoint,
            request,
            caller=caller,
            controls=read_controls(headers),
            received_at=unread.received_at,
            timeout_s=read_timeout_s(headers),
            route=read_route(headers),
            trace_parent=read_trace_parent(headers),
            client_key=client_key,
        )

    async def _ask(self, call: Call, trail: Trail) -> Reply:
        """Ask the pipeline; under pressure only for what is cached."""
        desk = self._desk
        pressure = desk.shedding.pressure(MISSES)
        if pressure is None or call.controls.only_if_cached:
            return await desk.pipeline.answer(call, trail)
        spared = replace(call, controls=replace(call.controls, only_if_cached=True))
        try:
            return await desk.pipeline.answer(spared, trail)
        except CacheMissError:
            raise overloaded(pressure) from None

    async def _answer_once(
        self, http: web.Request, visit: Visit, body: bytes, key: str, once: Once
    ) -> web.StreamResponse:
        """Take part in the one answer to a key, or get it as it was given."""
        trail = visit.trail
        caller = trail.call.caller
        own_key = next(keys_given(http.headers), "")
        place = place_of(caller.tenant, caller.user, own_key, key)
        asked = asked_digest(self.format.endpoint, body)

        async def make(emit: Callable[[Piece], None]) -> Made:
            visit.is_handed_over = True
            return await self._make(visit, asked, emit)

        with once.answering(place, asked, make) as flight:
            return await give(http, trail, flight, self.format)

    async def _make(self, visit: Visit, asked: bytes, emit: Callable[[Piece], None]) -> Made:
        """Make an answer for all who wait for it, whoever of them leaves, and tell its row."""
        trail = visit.trail
        status = CLIENT_LEFT
        try:
            # How long a client waits is its own matter: another one may wait longer.
            call = replace(trail.call, timeout_s=None)
            with await self._ask(call, trail) as reply:
                made = await self._record(reply, asked, emit)
            status = 200
        except SidecarError as error:
            trail.error = error.code
            status = error_response(error, self.format).status
            raise
        finally:
            visit.close(status, self._desk.observers)
        return made

    async def _record(self, reply: Reply, asked: bytes, emit: Callable[[Piece], None]) -> Made:
        head = reply_head(reply, disclose=self._desk.settings.disclose)
        trail = reply.trail
        if reply.chunks is None:
            return Made(recorded(self._whole_response(reply, head), asked, trail))
        head.update(HEADERS)
        emit(head)
        events = []
        writer = self.format.writer(trail.call.request)
        async for event in live_events(trail, reply.chunks, writer):
            emit(event)
            events.append(event)
        answer = Recorded(asked, trail.call.id, head, b"".join(events))
        return Made(answer, is_whole=not trail.error)

    async def _respond(self, http: web.Request, reply: Reply) -> web.StreamResponse:
        head = reply_head(reply, disclose=self._desk.settings.disclose)
        if reply.chunks is None:
            return self._whole_response(reply, head)
        writer = self.format.writer(reply.trail.call.request)
        return await write_live(http, reply.trail, reply.chunks, writer, head)

    def _whole_response(self, reply: Reply, head: dict[str, str]) -> web.Response:
        if reply.completion is None:
            raise AssertionError("a reply holds chunks or a completion")
        request = reply.trail.call.request
        if request.stream:
            completion = self._renewed(reply, reply.completion)
            return replayed(completion, reply.trail, self.format.writer(request), head)
        head["Content-Type"] = JSON
        return web.Response(body=self._whole(reply, reply.completion), headers=head)

    def _whole(self, reply: Reply, completion: Completion) -> bytes:
        """The JSON of an answer; that of a frequent hit is built once but for id and time."""
        request = reply.trail.call.request
        if not reply.replayed:
            head = self.format.head(completion.id, completion.created)
            return head + self.format.tail(completion, request)
        # What is remembered holds both, so their ids stay their own.
        place = (id(completion), id(request))
        known = self._tails.get(place)
        if known is None:
            known = (completion, request, self.format.tail(completion, request))
            if len(known[2]) <= MOST_REMEMBERED_BYTES:
                self._tails.put(place, known)
        return self.format.head(self._new_id(reply), int(self._clock.now())) + known[2]

    def _new_id(self, reply: Reply) -> str:
        return self.format.new_id(reply.trail.call.id)

    def _renewed(self, reply: Reply, completion: Completion) -> Completion:
        """An answer that was given before gets an id and a time of its own."""
        if not reply.replayed:
            return completion
        return replace(completion, id=self._new_id(reply), created=int(self._clock.now()))

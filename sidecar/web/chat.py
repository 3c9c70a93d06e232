"""The chat endpoints: HTTP and a format on this side, a call and a reply on the other.

What they have in common is here; how requests and answers are spelled is each format's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from sidecar.domain import Call, ChatRequest, Completion, Dialect
from sidecar.idempotency.once import Made
from sidecar.idempotency.recorded import Recorded
from sidecar.identify import require_client
from sidecar.memo import Memo
from sidecar.reply import Reply
from sidecar.trail import Trail
from sidecar.web.checks import read_json_body
from sidecar.web.desk import ChatSettings as ChatSettings  # noqa: PLC0414  given on
from sidecar.web.desk import Desk as Desk  # noqa: PLC0414  given on
from sidecar.web.heads import reply_head
from sidecar.web.once import Emit, Keyed, answer_once, recorded
from sidecar.web.reception import read_call, receive, sparingly
from sidecar.web.streams import HEADERS, live_events, replayed, write_live
from sidecar.web.visit import Visit
from sidecar.wire.anthropic_request import with_beta_header
from sidecar.wire.anthropic_tools import BETA_HEADER
from sidecar.wire.format import Format
from sidecar.wire.headers import read_idempotency_key

JSON = "application/json"
REMEMBERED = 512
MOST_REMEMBERED_BYTES = 8192
"""What is larger takes longer to send than to read."""


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
        return await receive(http, self._desk, self.format.endpoint, self.format, self._answer)

    async def _answer(self, http: web.Request, visit: Visit) -> web.StreamResponse:
        desk, trail, settings = self._desk, visit.trail, self._desk.settings
        desk.shedding.check(trail)
        client = require_client(http.headers, settings.identity)
        body = await read_json_body(http)
        request = self._read(http.headers, body)
        trail.call = read_call(trail.call, http.headers, request, client, settings)
        visit.taken = desk.admission.admit(trail.call, len(body), settings.rate_limits)
        key = read_idempotency_key(http.headers)
        if key is not None and desk.once is not None:
            return await self._answer_once(http, visit, Keyed(key, body, desk.once))
        with await self._ask(trail.call, trail) as reply:
            return await self._respond(http, reply)

    def _read(self, headers: Mapping[str, str], body: bytes) -> ChatRequest:
        request = self._requests.get(body)
        if request is None:
            request = self.format.parse(body)
            if len(body) <= MOST_REMEMBERED_BYTES:
                self._requests.put(body, request)
        betas = headers.get(BETA_HEADER)
        if betas is not None and request.dialect is Dialect.ANTHROPIC:
            request = with_beta_header(request, betas)
        return request

    async def _ask(self, call: Call, trail: Trail) -> Reply:
        pipeline = self._desk.pipeline
        return await sparingly(
            self._desk, trail, call, lambda spared: pipeline.answer(spared, trail)
        )

    async def _answer_once(
        self, http: web.Request, visit: Visit, keyed: Keyed
    ) -> web.StreamResponse:
        trail = visit.trail

        async def make(asked: bytes, emit: Emit) -> Made:
            # How long a client waits is its own matter: another one may wait longer.
            with await self._ask(replace(trail.call, timeout_s=None), trail) as reply:
                return await self._record(reply, asked, emit)

        return await answer_once(http, visit, keyed, make, format_=self.format, desk=self._desk)

    async def _record(self, reply: Reply, asked: bytes, emit: Emit) -> Made:
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

"""The chat endpoints: HTTP and a format on this side, a call and a reply on the other.

What they have in common is here; how requests and answers are spelled is each format's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import getrandbits

from aiohttp import web

from sidecar.clock import Clock
from sidecar.domain import Call, ChatRequest, Completion
from sidecar.errors import SidecarError
from sidecar.events import Observers
from sidecar.memo import Memo
from sidecar.pipeline import Pipeline
from sidecar.reply import Reply
from sidecar.trail import Trail
from sidecar.web.checks import read_json_body
from sidecar.web.errors import error_response
from sidecar.web.heads import base_head, reply_head
from sidecar.web.streams import replayed, write_live
from sidecar.wire.format import Format
from sidecar.wire.headers import (
    read_caller,
    read_controls,
    read_timeout_s,
    read_trace_parent,
)

CLIENT_LEFT = 499
"""The status in the row of a request whose client did not wait for the answer."""
JSON = "application/json"
REMEMBERED = 512
MOST_REMEMBERED_BYTES = 8192
"""What is larger takes longer to send than to read."""
_UNREAD = ChatRequest(model="", messages=())


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What config says about these doors."""

    disclose: bool
    tag_defaults: Mapping[str, str]


@dataclass(slots=True)
class Desk:
    """What all chat endpoints have in common."""

    pipeline: Pipeline
    clock: Clock
    observers: Observers
    settings: ChatSettings
    in_flight: int = 0  # requests being answered


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
        trail = Trail(call, self._clock)
        status = CLIENT_LEFT
        self._desk.in_flight += 1
        try:
            response = await self._answer(http, trail)
            status = response.status
        except ConnectionResetError:
            return web.Response(status=CLIENT_LEFT)  # nobody is there to read it
        except SidecarError as error:
            trail.error = error.code
            response = error_response(error, self.format, base_head(trail))
            status = response.status
        finally:
            self._desk.in_flight -= 1
            # After the reply is sent: nobody waits for observers.
            asyncio.get_running_loop().call_soon(self._observe, trail, status)
        return response

    def _observe(self, trail: Trail, status: int) -> None:
        self._desk.observers.tell(trail.close(status))

    async def _answer(self, http: web.Request, trail: Trail) -> web.StreamResponse:
        body = await read_json_body(http)
        trail.call = call = self._read(trail.call, http.headers, body)
        with await self._desk.pipeline.answer(call, trail) as reply:
            return await self._respond(http, reply)

    def _read(self, unread: Call, headers: Mapping[str, str], body: bytes) -> Call:
        request = self._requests.get(body)
        if request is None:
            request = self.format.parse(body)
            if len(body) <= MOST_REMEMBERED_BYTES:
                self._requests.put(body, request)
        return Call(
            unread.id,
            unread.endpoint,
            request,
            caller=read_caller(headers, request.labels, self._desk.settings.tag_defaults),
            controls=read_controls(headers),
            received_at=unread.received_at,
            timeout_s=read_timeout_s(headers),
            trace_parent=read_trace_parent(headers),
        )

    async def _respond(self, http: web.Request, reply: Reply) -> web.StreamResponse:
        head = reply_head(reply, disclose=self._desk.settings.disclose)
        if reply.chunks is not None:
            writer = self.format.writer(reply.trail.call.request)
            return await write_live(http, reply.trail, reply.chunks, writer, head)
        if reply.completion is None:
            raise AssertionError("a reply holds chunks or a completion")
        if reply.trail.call.request.stream:
            writer = self.format.writer(reply.trail.call.request)
            return replayed(self._renewed(reply, reply.completion), reply.trail, writer, head)
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

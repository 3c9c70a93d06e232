"""`POST /v1/chat/completions`: HTTP and JSON on this side, a call and a reply on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import getrandbits

from aiohttp import web

from sidecar.clock import Clock
from sidecar.domain import Call, ChatRequest, Completion, Endpoint
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
from sidecar.wire.headers import (
    read_caller,
    read_controls,
    read_timeout_s,
    read_trace_parent,
)
from sidecar.wire.openai_reply import build_completion, completion_head, completion_tail
from sidecar.wire.openai_request import parse_chat_request

CLIENT_LEFT = 499
"""The status in the row of a request whose client did not wait for the answer."""
JSON = "application/json"
REMEMBERED = 512
MOST_REMEMBERED_BYTES = 8192
"""What is larger takes longer to send than to read."""
_UNREAD = ChatRequest(model="", messages=())


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What config says about this door."""

    disclose: bool
    tag_defaults: Mapping[str, str]


class ChatEndpoint:
    """Answers chat completions and closes each request's trail into a row."""

    def __init__(
        self, pipeline: Pipeline, clock: Clock, observers: Observers, settings: ChatSettings
    ) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._observers = observers
        self._settings = settings
        self._requests: Memo[bytes, ChatRequest] = Memo(REMEMBERED)
        self._tails: Memo[int, tuple[Completion, bytes]] = Memo(REMEMBERED)
        self.in_flight = 0

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Answer one request; whatever happens, it leaves a row."""
        # An id must be its own, not secret: this costs a tenth of the system's generator.
        request_id = f"req_{getrandbits(96):024x}"
        call = Call(request_id, Endpoint.CHAT, _UNREAD, received_at=self._clock.now())
        trail = Trail(call, self._clock)
        status = CLIENT_LEFT
        self.in_flight += 1
        try:
            response = await self._answer(http, trail)
            status = response.status
        except ConnectionResetError:
            return web.Response(status=CLIENT_LEFT)  # nobody is there to read it
        except SidecarError as error:
            trail.error = error.code
            response = error_response(error, base_head(trail))
            status = response.status
        finally:
            self.in_flight -= 1
            # After the reply is sent: nobody waits for observers.
            asyncio.get_running_loop().call_soon(self._observe, trail, status)
        return response

    def _observe(self, trail: Trail, status: int) -> None:
        self._observers.tell(trail.close(status))

    async def _answer(self, http: web.Request, trail: Trail) -> web.StreamResponse:
        body = await read_json_body(http)
        trail.call = call = self._read(trail.call, http.headers, body)
        with await self._pipeline.answer(call, trail) as reply:
            return await self._respond(http, reply)

    def _read(self, unread: Call, headers: Mapping[str, str], body: bytes) -> Call:
        request = self._requests.get(body)
        if request is None:
            request = parse_chat_request(body)
            if len(body) <= MOST_REMEMBERED_BYTES:
                self._requests.put(body, request)
        return Call(
            unread.id,
            unread.endpoint,
            request,
            caller=read_caller(headers, request.labels, self._settings.tag_defaults),
            controls=read_controls(headers),
            received_at=unread.received_at,
            timeout_s=read_timeout_s(headers),
            trace_parent=read_trace_parent(headers),
        )

    async def _respond(self, http: web.Request, reply: Reply) -> web.StreamResponse:
        head = reply_head(reply, disclose=self._settings.disclose)
        if reply.chunks is not None:
            return await write_live(http, reply, reply.chunks, head)
        if reply.completion is None:
            raise AssertionError("a reply holds chunks or a completion")
        if reply.trail.call.request.stream:
            return replayed(self._renewed(reply, reply.completion), reply.trail, head)
        head["Content-Type"] = JSON
        return web.Response(body=self._whole(reply, reply.completion), headers=head)

    def _whole(self, reply: Reply, completion: Completion) -> bytes:
        """The JSON of an answer; that of a frequent hit is built once but for id and time."""
        if not reply.replayed:
            return build_completion(completion)
        known = self._tails.get(id(completion))
        if known is None:  # what is remembered holds the completion, so its id stays its own
            known = (completion, completion_tail(completion))
            if len(known[1]) <= MOST_REMEMBERED_BYTES:
                self._tails.put(id(completion), known)
        return completion_head(self._new_id(reply), int(self._clock.now())) + known[1]

    def _new_id(self, reply: Reply) -> str:
        return "chatcmpl-" + reply.trail.call.id.removeprefix("req_")

    def _renewed(self, reply: Reply, completion: Completion) -> Completion:
        """An answer that was given before gets an id and a time of its own."""
        if not reply.replayed:
            return completion
        return replace(completion, id=self._new_id(reply), created=int(self._clock.now()))

"""`POST /v1/embeddings`: HTTP on this side, items and vectors on the other.

A request passes the same checks as a chat, is counted against the same limits, and leaves
a row like it. It is whole or nothing: a vector that is missing is an error.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import getrandbits

from aiohttp import web

from sidecar.admission import CLIENT_LEFT
from sidecar.domain import Call, ChatRequest, Endpoint, Outcome
from sidecar.embeddings import EmbeddingReply, Embeddings
from sidecar.errors import SidecarError, UpstreamTimeoutError
from sidecar.identify import identify, require_client, with_key
from sidecar.reply import Reply
from sidecar.trail import Trail
from sidecar.web.chat import JSON, Desk
from sidecar.web.checks import read_json_body
from sidecar.web.errors import OPENAI, error_response
from sidecar.web.heads import base_head, reply_head
from sidecar.web.visit import Visit
from sidecar.wire.embeddings import (
    EmbeddingRequest,
    build_embedding_reply,
    parse_embedding_request,
)
from sidecar.wire.headers import read_controls, read_route, read_timeout_s, read_trace_parent

_UNREAD = ChatRequest(model="", messages=())


class EmbeddingsEndpoint:
    """Answers requests for embeddings and closes each one's trail into a row."""

    format = OPENAI
    """Of its errors."""

    def __init__(self, desk: Desk, embeddings: Embeddings) -> None:
        self._desk = desk
        self._embeddings = embeddings

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Answer one request; whatever happens, it leaves a row."""
        desk = self._desk
        call = Call(
            f"req_{getrandbits(96):024x}", Endpoint.EMBEDDINGS, _UNREAD,
            received_at=desk.clock.now(),
        )  # fmt: skip
        visit = Visit(Trail(call, desk.clock))
        status = CLIENT_LEFT
        desk.in_flight += 1
        try:
            response = await self._answer(http, visit)
            status = response.status
        except SidecarError as error:
            visit.failed(error.code)
            response = error_response(error, self.format, base_head(visit.trail))
            status = response.status
        finally:
            desk.in_flight -= 1
            visit.leave(status, desk.observers)
        return response

    async def _answer(self, http: web.Request, visit: Visit) -> web.Response:
        desk, trail = self._desk, visit.trail
        desk.shedding.check()
        client = require_client(http.headers, desk.settings.identity)
        body = await read_json_body(http)
        request = parse_embedding_request(body)
        rules = desk.settings.identity
        caller = identify(http.headers, request.labels, client, rules, desk.settings.tag_defaults)
        caller, client_key = with_key(caller, http.headers, request.model, rules)
        trail.call = replace(
            trail.call,
            request=ChatRequest(request.model, (), labels=request.labels),
            caller=caller,
            controls=read_controls(http.headers),
            timeout_s=read_timeout_s(http.headers),
            route=read_route(http.headers),
            trace_parent=read_trace_parent(http.headers),
            client_key=client_key,
        )
        visit.taken = desk.admission.admit(trail.call, len(body), desk.settings.rate_limits)
        return self._respond(await self._patiently(request, trail), trail)

    async def _patiently(self, request: EmbeddingRequest, trail: Trail) -> EmbeddingReply:
        """The answer, within the caller's own limit."""
        limit = asyncio.timeout(trail.call.timeout_s)
        try:
            async with limit:
                return await self._embeddings.answer(trail.call, request, trail)
        except TimeoutError:
            if not limit.expired():
                raise
            raise UpstreamTimeoutError(
                "no answer came within x-sidecar-timeout-ms", reason="timeout_client"
            ) from None

    def _respond(self, reply: EmbeddingReply, trail: Trail) -> web.Response:
        told = Reply(trail, ttl_s=reply.ttl_s)
        head = reply_head(told, disclose=self._desk.settings.disclose)
        if reply.is_partial and trail.outcome is Outcome.MISS:
            stored = "; stored" if trail.stored else ""
            head["Cache-Status"] = f"sidecar; fwd=miss; detail=partial{stored}"
        head["Content-Type"] = JSON
        body = build_embedding_reply(reply.model, reply.vectors, reply.usage)
        return web.Response(body=body, headers=head)

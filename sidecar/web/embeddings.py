"""`POST /v1/embeddings`: HTTP on this side, items and vectors on the other.

A request passes the same checks as a chat, is counted against the same limits, is answered
once under an `Idempotency-Key`, and leaves a row. It is whole or nothing: a vector that is
missing is an error.
"""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from sidecar.domain import Call, ChatRequest, Endpoint, Outcome
from sidecar.embeddings import EmbeddingReply, Embeddings
from sidecar.idempotency.once import Made
from sidecar.identify import require_client
from sidecar.reply import Reply
from sidecar.trail import Trail
from sidecar.web.chat import JSON
from sidecar.web.checks import read_json_body
from sidecar.web.desk import Desk
from sidecar.web.errors import OPENAI
from sidecar.web.heads import reply_head
from sidecar.web.once import Emit, Keyed, answer_once, recorded
from sidecar.web.reception import read_call, receive, sparingly
from sidecar.web.visit import Visit
from sidecar.wire.embeddings import (
    EmbeddingRequest,
    build_embedding_reply,
    parse_embedding_request,
)
from sidecar.wire.headers import read_idempotency_key


class EmbeddingsEndpoint:
    """Answers requests for embeddings and closes each one's trail into a row."""

    format = OPENAI
    """Of its errors."""

    def __init__(self, desk: Desk, embeddings: Embeddings) -> None:
        self._desk = desk
        self._embeddings = embeddings

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Answer one request; whatever happens, it leaves a row."""
        return await receive(http, self._desk, Endpoint.EMBEDDINGS, self.format, self._answer)

    async def _answer(self, http: web.Request, visit: Visit) -> web.StreamResponse:
        desk, trail, settings = self._desk, visit.trail, self._desk.settings
        desk.shedding.check(trail)
        client = require_client(http.headers, settings.identity)
        body = await read_json_body(http)
        request = parse_embedding_request(body)
        plain = ChatRequest(request.model, (), labels=request.labels)
        trail.call = read_call(trail.call, http.headers, plain, client, settings)
        visit.taken = desk.admission.admit(trail.call, len(body), settings.rate_limits)
        key = read_idempotency_key(http.headers)
        if key is not None and desk.once is not None:
            keyed = Keyed(key, body, desk.once)
            return await self._answer_once(http, visit, keyed, request)
        return await self._respond(trail.call, request, trail)

    async def _answer_once(
        self, http: web.Request, visit: Visit, keyed: Keyed, request: EmbeddingRequest
    ) -> web.StreamResponse:
        trail = visit.trail

        async def make(asked: bytes, _: Emit) -> Made:
            # How long a client waits is its own matter: another one may wait longer.
            patient = replace(trail.call, timeout_s=None)
            return Made(recorded(await self._respond(patient, request, trail), asked, trail))

        return await answer_once(http, visit, keyed, make, format_=self.format, desk=self._desk)

    async def _respond(self, call: Call, request: EmbeddingRequest, trail: Trail) -> web.Response:
        reply = await sparingly(
            self._desk, trail, call, lambda spared: self._embeddings.answer(spared, request, trail)
        )
        head = self._head(reply, trail)
        body = build_embedding_reply(reply.model, reply.vectors, reply.usage)
        return web.Response(body=body, headers=head)

    def _head(self, reply: EmbeddingReply, trail: Trail) -> dict[str, str]:
        told = Reply(trail, ttl_s=reply.ttl_s)
        head = reply_head(told, disclose=self._desk.settings.disclose)
        if reply.is_partial and trail.outcome is Outcome.MISS:
            stored = "; stored" if trail.stored else ""
            head["Cache-Status"] = f"sidecar; fwd=miss; detail=partial{stored}"
        return {**head, "Content-Type": JSON}

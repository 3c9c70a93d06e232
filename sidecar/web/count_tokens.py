"""`POST /v1/messages/count_tokens`: how many input tokens a Messages request has.

It costs nothing and is never cached, so it takes from the limits on requests alone, and
none of the limits on tokens: a caller may ask how much a request would be that is too much.
All else is as for a chat, its row too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import orjson
from aiohttp import web

from sidecar.admission import RateLimit, Taken
from sidecar.counting import Counting
from sidecar.domain import Call, ChatRequest, Endpoint
from sidecar.errors import CacheMissError
from sidecar.identify import require_client
from sidecar.reply import Reply
from sidecar.trail import Trail
from sidecar.web.chat import JSON
from sidecar.web.checks import read_json_body
from sidecar.web.desk import Desk
from sidecar.web.heads import reply_head
from sidecar.web.reception import read_call, receive, sparingly
from sidecar.web.visit import Visit
from sidecar.wire import anthropic_request
from sidecar.wire.anthropic_format import AnthropicFormat
from sidecar.wire.anthropic_request import with_beta_header
from sidecar.wire.anthropic_tools import BETA_HEADER

_FORMAT = AnthropicFormat()


class CountTokensEndpoint:
    """Counts in Anthropic's words, for any model that can be counted for."""

    format = _FORMAT
    """Of its errors."""

    def __init__(self, desk: Desk, counting: Counting) -> None:
        self._desk = desk
        self._counting = counting

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Answer one request; whatever happens, it leaves a row."""
        return await receive(http, self._desk, Endpoint.COUNT_TOKENS, self.format, self._answer)

    async def _answer(self, http: web.Request, visit: Visit) -> web.Response:
        desk, trail, settings = self._desk, visit.trail, self._desk.settings
        desk.shedding.check(trail)
        client = require_client(http.headers, settings.identity)
        request = parse_count_request(await read_json_body(http), http.headers)
        trail.call = read_call(trail.call, http.headers, request, client, settings)
        visit.taken = self._admit(trail.call)
        tokens = await sparingly(desk, trail, trail.call, lambda call: self._count(call, trail))
        head = reply_head(Reply(trail), disclose=settings.disclose)
        body = orjson.dumps({"input_tokens": tokens})
        return web.Response(body=body, headers={**head, "Content-Type": JSON})

    async def _count(self, call: Call, trail: Trail) -> int:
        if call.controls.only_if_cached:
            raise CacheMissError("a count is never cached, and only that was allowed")
        return await self._counting.count(call, trail)

    def _admit(self, call: Call) -> Taken | None:
        desk = self._desk
        bare = replace(call, request=ChatRequest(call.request.model, ()))
        return desk.admission.admit(bare, 0, list(of_requests(desk.settings.rate_limits)))


def of_requests(limits: Iterable[RateLimit]) -> Iterable[RateLimit]:
    """The limits on requests, without what they say of tokens."""
    for limit in limits:
        if limit.requests_per_minute is not None:
            yield replace(limit, tokens_per_minute=None)


def parse_count_request(body: bytes, headers: Mapping[str, str]) -> ChatRequest:
    """A Messages request that has no cap yet; `InvalidRequestError` names what is wrong."""
    request = anthropic_request.parse_count_request(body)
    betas = headers.get(BETA_HEADER)
    return request if betas is None else with_beta_header(request, betas)

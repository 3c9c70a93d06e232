"""`POST /v1/messages/count_tokens`: how many input tokens a Messages request has.

It costs nothing, asks no model for an answer and is never cached, so it leaves no row.
"""

from __future__ import annotations

from random import getrandbits

import orjson
from aiohttp import web

from sidecar.counting import Counting
from sidecar.domain import ChatRequest
from sidecar.errors import SidecarError
from sidecar.identify import require_client, with_key
from sidecar.web.chat import JSON, Desk
from sidecar.web.checks import read_json_body
from sidecar.web.errors import error_response
from sidecar.web.heads import REQUEST_ID
from sidecar.wire.anthropic_format import AnthropicFormat
from sidecar.wire.body import read_object
from sidecar.wire.headers import read_caller, read_route

_FORMAT = AnthropicFormat()


class CountTokensEndpoint:
    """Counts in Anthropic's words, for any model that can be counted for."""

    format = _FORMAT
    """Of its errors."""

    def __init__(self, desk: Desk, counting: Counting) -> None:
        self._desk = desk
        self._counting = counting

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Answer one request."""
        head = {REQUEST_ID: f"req_{getrandbits(96):024x}"}
        try:
            tokens = await self._count(http)
        except SidecarError as error:
            return error_response(error, self.format, head)
        body = orjson.dumps({"input_tokens": tokens})
        return web.Response(body=body, headers={**head, "Content-Type": JSON})

    async def _count(self, http: web.Request) -> int:
        desk = self._desk
        desk.shedding.check()
        rules = desk.settings.identity
        require_client(http.headers, rules)
        request = parse_count_request(await read_json_body(http))
        caller = read_caller(http.headers, request.labels)
        _, client_key = with_key(caller, http.headers, request.model, rules)
        return await self._counting.count(
            request, variant=read_route(http.headers), client_key=client_key
        )


def parse_count_request(body: bytes) -> ChatRequest:
    """A Messages request that has no cap yet; `InvalidRequestError` names what is wrong."""
    raw = read_object(body)
    # What only counts takes no cap, and is in all else what asks for an answer.
    raw.setdefault("max_tokens", 1)
    return _FORMAT.parse(orjson.dumps(raw))

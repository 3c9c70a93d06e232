"""OpenAI's Responses, asked in their own words: for requests that chat can't say.

As `openai`, it asks once and reports what came of it, and a stream ends without an error
only behind the event that tells the whole response. What comes back is given on whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

from sidecar.domain import Chunk, Completion, Timeouts
from sidecar.errors import UpstreamError
from sidecar.native import NativeRequest
from sidecar.providers.credentials import Credentials
from sidecar.providers.reading import require_stream
from sidecar.providers.transport import HttpRequest, Response, Route, Transport
from sidecar.wire.responses_native import build_native_request, parse_native_reply
from sidecar.wire.responses_native_events import NativeReader
from sidecar.wire.sse import SseDecoder

RaiseFor: TypeAlias = Callable[[Response, str], Awaitable[None]]
"""Raises for any status but a good one; told the key that no error may show."""


class ResponsesApi:
    """The Responses of one server, beside its other endpoints."""

    def __init__(
        self,
        name: str,
        route: Route,
        credentials: Credentials,
        transport: Transport,
        raise_for: RaiseFor,
    ) -> None:
        self._name = name
        self._route = route
        self._credentials = credentials
        self._transport = transport
        self._raise_for = raise_for

    async def complete(
        self, request: NativeRequest, model: str, timeouts: Timeouts, client_key: str
    ) -> Completion:
        """Ask for a whole response; of one in the background, for its beginning."""
        asked, key = self._asked(request, model, client_key)
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response, key)
            return parse_native_reply(await response.read())

    async def stream(
        self, request: NativeRequest, model: str, timeouts: Timeouts, client_key: str
    ) -> AsyncGenerator[Chunk, None]:
        """Ask for a stream. Close it where you stop early."""
        asked, key = self._asked(request, model, client_key)
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response, key)
            await require_stream(response, self._name, parse_native_reply)
            reader, decoder = NativeReader(), SseDecoder()
            while piece := await response.next_piece():
                for event in decoder.feed(piece):
                    chunk = reader.read(event.data)
                    if reader.begun:
                        response.first_token_came()
                    yield chunk
                    if reader.ended:
                        await response.finish()
                        return
        raise UpstreamError(f"{self._name} ended its stream before the answer's end", reason="cut")

    def _asked(
        self, request: NativeRequest, model: str, client_key: str
    ) -> tuple[HttpRequest, str]:
        head, key = self._credentials.head(client_key)
        body = build_native_request(request, model)
        return HttpRequest(self._route, head, body, request.stream), key

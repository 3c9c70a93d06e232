"""Anthropic's Messages, asked as any provider is: from whichever dialect, once, truthfully.

A stream ends without an error only behind `message_stop`. Headers are built here from
nothing; the key is in no error. A client that speaks Anthropic too gets all that came
back; others get what they have words for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from time import time
from typing import Final

from sidecar.domain import ChatRequest, Chunk, Completion, Dialect, Timeouts
from sidecar.errors import UpstreamError
from sidecar.providers.credentials import ApiKey, Credentials
from sidecar.providers.judge import Asked
from sidecar.providers.reading import common_headers, require_stream, require_success
from sidecar.providers.transport import HttpRequest, Response, Transport
from sidecar.wire.anthropic_build import betas_of, build_count_request, build_messages_request
from sidecar.wire.anthropic_events import MessageReader
from sidecar.wire.anthropic_reply import parse_count, parse_message
from sidecar.wire.sse import SseDecoder

VERSION: Final = "2023-06-01"
"""Of the API, as Anthropic names it; there is no later one."""


class AnthropicProvider:
    """One configured server; `base_url` with or without its `/v1`.

    With `from_client` it is asked with the caller's own key and never with one of ours.
    Anthropic's answers tell no time, which other formats do: they get that of their coming.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: ApiKey,
        transport: Transport,
        *,
        from_client: bool = False,
    ) -> None:
        self.name = name
        self._credentials = Credentials(name, api_key, build_headers, from_client=from_client)
        place = base_url.rstrip("/").removesuffix("/v1")
        self._route = transport.route(f"{place}/v1/messages")
        self._count_route = transport.route(f"{place}/v1/messages/count_tokens")
        self._transport = transport

    def __repr__(self) -> str:
        return f"AnthropicProvider({self.name!r}, {self._route.place})"

    async def complete(
        self,
        request: ChatRequest,
        model: str,
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> Completion:
        """Ask for a whole answer; `timeouts.first_token_s` has no meaning here."""
        head, key = self._head(request, client_key)
        asked = HttpRequest(self._route, head, build_messages_request(request, model))
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response, key)
            body = await response.read()
        return parse_message(body, created=int(time()), keep=_keeps(request))

    async def stream(
        self,
        request: ChatRequest,
        model: str,
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> AsyncGenerator[Chunk, None]:
        """Ask for a stream; its end is the end of the answer. Close it where you stop early."""
        head, key = self._head(request, client_key)
        asked = HttpRequest(self._route, head, build_messages_request(request, model), streams=True)
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response, key)
            await require_stream(response, self.name, parse_message)
            reader = MessageReader(created=int(time()), keep=_keeps(request))
            decoder = SseDecoder()
            while not reader.ended and (piece := await response.next_piece()):
                for event in decoder.feed(piece):
                    if chunk := reader.read(event.data):
                        # A ping, or that it has begun, is no token.
                        if any(delta.has_content for delta in chunk.deltas):
                            response.first_token_came()
                        yield chunk
            if reader.ended:
                await response.finish()
                return
        raise UpstreamError(f"{self.name} ended its stream before the answer's end", reason="cut")

    async def count_tokens(
        self,
        request: ChatRequest,
        model: str,
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> int:
        """Ask how many tokens a request has."""
        head, key = self._head(request, client_key)
        asked = HttpRequest(self._count_route, head, build_count_request(request, model))
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response, key)
            return parse_count(await response.read())

    def _head(self, request: ChatRequest, client_key: str) -> tuple[Mapping[str, str], str]:
        head, key = self._credentials.head(client_key)
        betas = betas_of(request)
        return ({**head, "anthropic-beta": betas} if betas else head), key

    async def _raise_for(self, response: Response, key: str) -> None:
        from_client = self._credentials.from_client
        await require_success(response, Asked(self.name, Dialect.ANTHROPIC, key, from_client))


def build_headers(api_key: str | None) -> dict[str, str]:
    """Return all headers that a provider is sent, but those of HTTP itself and of betas."""
    headers = {**common_headers(api_key), "anthropic-version": VERSION}
    return headers | ({"x-api-key": api_key} if api_key else {})


def _keeps(request: ChatRequest) -> bool:
    """Whether the client could see what only Anthropic has words for."""
    return request.dialect is Dialect.ANTHROPIC

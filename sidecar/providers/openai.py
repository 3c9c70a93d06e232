"""OpenAI's Chat Completions, as any compatible server speaks it, and beside them its Responses.

It asks once and reports what came of it: a whole answer, a stream that ends only after
its terminal event, or an error that says whose fault it was. It refuses to retry, to
fall back, and to pass on anything of the client's head. The invariants: headers to the
provider are built here from nothing; our key is in no error; a stream that was cut, or
that tells of an error after its 200, never ends as if it were complete.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from sidecar.domain import ChatRequest, Chunk, Completion, Timeouts
from sidecar.errors import UpstreamError
from sidecar.native import NativeRequest
from sidecar.providers.credentials import ApiKey, Credentials
from sidecar.providers.judge import Asked
from sidecar.providers.reading import common_headers, require_stream, require_success
from sidecar.providers.responses import ResponsesApi
from sidecar.providers.transport import HttpRequest, Response, Route, Transport
from sidecar.wire.openai_reply import parse_chunk, parse_completion
from sidecar.wire.openai_request import build_chat_request
from sidecar.wire.sse import DONE, SseDecoder


class OpenAIProvider:
    """One configured server. `api_key` None sends no Authorization at all.

    With `from_client` it is asked with the caller's own key and never with one of ours.
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
        self._route = transport.route(f"{base_url.rstrip('/')}/chat/completions")
        self._transport = transport
        self._responses = self._responses_at(f"{base_url.rstrip('/')}/responses")

    def __repr__(self) -> str:
        return f"OpenAIProvider({self.name!r}, {self._route.place})"

    async def complete(
        self,
        request: ChatRequest,
        model: str,
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> Completion:
        """Ask for a whole answer; `timeouts.first_token_s` has no meaning here."""
        if isinstance(request, NativeRequest) and self._responses is not None:
            return await self._responses.complete(request, model, timeouts, client_key)
        head, key = self._credentials.head(client_key)
        asked = build_request(self._route, head, request, model)
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response, key)
            return parse_completion(await response.read())

    def stream(
        self,
        request: ChatRequest,
        model: str,
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> AsyncGenerator[Chunk, None]:
        """Ask for a stream; its end is the end of the answer. Close it where you stop early."""
        if isinstance(request, NativeRequest) and self._responses is not None:
            return self._responses.stream(request, model, timeouts, client_key)
        return self._stream(request, model, timeouts, client_key)

    async def _stream(
        self, request: ChatRequest, model: str, timeouts: Timeouts, client_key: str
    ) -> AsyncGenerator[Chunk, None]:
        head, key = self._credentials.head(client_key)
        asked = build_request(self._route, head, request, model)
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response, key)
            await require_stream(response, self.name, parse_completion)
            decoder = SseDecoder()
            while piece := await response.next_piece():
                for event in decoder.feed(piece):
                    if event.data == DONE:
                        await response.finish()
                        return
                    chunk = parse_chunk(event.data)
                    # A role, or what a filter found in the prompt, is no token.
                    if any(delta.has_content for delta in chunk.deltas):
                        response.first_token_came()
                    yield chunk
            # Some servers leave out the blank line behind the very last event.
            if any(event.data == DONE for event in decoder.feed(b"\n\n")):
                return
        raise UpstreamError(f"{self.name} ended its stream before the answer's end", reason="cut")

    def _responses_at(self, url: str) -> ResponsesApi | None:
        """Where Responses are asked for; None where they can't be."""
        route = self._transport.route(url)
        return ResponsesApi(self.name, route, self._credentials, self._transport, self._raise_for)

    async def _raise_for(self, response: Response, key: str) -> None:
        from_client = self._credentials.from_client
        await require_success(response, Asked(self.name, secret=key, clients_key=from_client))


def build_headers(api_key: str | None) -> dict[str, str]:
    """Return all headers that a provider is sent, but those of HTTP itself."""
    headers = common_headers(api_key)
    return headers | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def build_request(
    route: Route, headers: Mapping[str, str], request: ChatRequest, model: str
) -> HttpRequest:
    """Return the HTTP request that asks `model`."""
    return HttpRequest(route, headers, build_chat_request(request, model), request.stream)

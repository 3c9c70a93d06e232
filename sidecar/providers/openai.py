"""OpenAI's Chat Completions, as any compatible server speaks it.

It asks once and reports what came of it: a whole answer, a stream that ends only after
its terminal event, or an error that says whose fault it was. It refuses to retry, to
fall back, and to pass on anything of the client's head. The invariants: headers to the
provider are built here from nothing; our key is in no error; a stream that was cut, or
that tells of an error after its 200, never ends as if it were complete.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TypeGuard

from sidecar import __version__
from sidecar.domain import ChatRequest, Chunk, Completion, Timeouts
from sidecar.errors import ConfigError, UpstreamError, UpstreamInvalidError, UpstreamRefusedError
from sidecar.providers.transport import HttpRequest, Response, Route, Transport
from sidecar.wire.body import MalformedError, dump, load_object
from sidecar.wire.openai_reply import parse_chunk, parse_completion
from sidecar.wire.openai_request import build_chat_request
from sidecar.wire.sse import DONE, SseDecoder

CALLERS_FAULT = frozenset({400, 404, 409, 413, 415, 422, 429})
"""Statuses that are passed on to the caller with their body."""

KEPT_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")
"""What of a refusal's head is passed on: the SDKs' own retries obey it."""

_MOST_ERROR_BYTES = 64 * 1024
_KEY_STATUSES = (401, 403)


class OpenAIProvider:
    """One configured server. `api_key` None sends no Authorization at all."""

    def __init__(self, name: str, base_url: str, api_key: str | None, transport: Transport) -> None:
        self.name = name
        self._secret = api_key or ""
        self._headers = build_headers(api_key)
        self._route = transport.route(f"{base_url.rstrip('/')}/chat/completions")
        self._transport = transport

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
        asked = build_request(self._route, self._headers, request, model)
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response)
            return parse_completion(await response.read())

    async def stream(
        self,
        request: ChatRequest,
        model: str,
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> AsyncGenerator[Chunk, None]:
        """Ask for a stream; its end is the end of the answer. Close it where you stop early."""
        asked = build_request(self._route, self._headers, request, model)
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response)
            await self._require_stream(response)
            decoder = SseDecoder()
            while piece := await response.next_piece():
                for event in decoder.feed(piece):
                    response.first_token_came()
                    if event.data == DONE:
                        await response.finish()
                        return
                    yield parse_chunk(event.data)
            # Some servers leave out the blank line behind the very last event.
            if any(event.data == DONE for event in decoder.feed(b"\n\n")):
                return
        raise UpstreamError(f"{self.name} ended its stream before the answer's end", reason="cut")

    async def _raise_for(self, response: Response) -> None:
        if 200 <= response.status < 300:
            return
        body = await response.read_at_most(_MOST_ERROR_BYTES)
        raise judge(self.name, response.status, response.headers, body, self._secret)

    async def _require_stream(self, response: Response) -> None:
        """Raise where a whole reply came, which is an error told with status 200, or worse."""
        if not response.headers.get("Content-Type", "").lower().startswith("application/json"):
            return
        parse_completion(await response.read())
        raise UpstreamInvalidError(f"{self.name} does not stream", reason="not_a_stream")


def build_headers(api_key: str | None) -> dict[str, str]:
    """Return all headers that a provider is sent, but those of HTTP itself."""
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise ConfigError("api_key holds what no header can carry, such as a line break")
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "User-Agent": f"semantic-sidecar/{__version__}",
    }
    return headers | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def build_request(
    route: Route, headers: Mapping[str, str], request: ChatRequest, model: str
) -> HttpRequest:
    """Return the HTTP request that asks `model`."""
    return HttpRequest(route, headers, build_chat_request(request, model), request.stream)


def judge(
    name: str, status: int, headers: Mapping[str, str], body: bytes | None, secret: str = ""
) -> UpstreamError:
    """Say what a reply other than 200 means; `body` None where it was too long to read.

    Only what the caller did wrong is shown to the caller: a provider's complaint about
    our key quotes parts of it, and its 5xx pages are no business of the app.
    """
    kept = {key: headers[key] for key in KEPT_HEADERS if key in headers}
    if status in _KEY_STATUSES:
        message = f"{name} does not accept the configured api_key (status {status})"
        return UpstreamError(message, reason="auth", upstream_status=status)
    message, reason = f"{name} answered with status {status}", f"status_{status}"
    if status in CALLERS_FAULT:
        shown = body if is_showable(body, secret) else _plain_error(message, reason)
        return UpstreamRefusedError(
            message, reason=reason, upstream_status=status, body=shown, headers=kept
        )
    if status < 400:
        return UpstreamInvalidError(message, reason=reason, upstream_status=status)
    return UpstreamError(message, reason=reason, upstream_status=status, headers=kept)


def is_showable(body: bytes | None, secret: str = "") -> TypeGuard[bytes]:
    """Whether this error body may go to the caller: a JSON object without our key in it."""
    if body is None or (secret and secret.encode() in body):
        return False
    try:
        load_object(body)
    except MalformedError:
        return False
    return True


def _plain_error(message: str, code: str) -> bytes:
    error = {"message": message, "type": "upstream_error", "param": None, "code": code}
    return dump({"error": error})

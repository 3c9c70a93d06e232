"""The only HTTP client: sends one request, hands back one bounded response.

It refuses to follow redirects, to keep cookies, to send anything twice, to wait or to
read without a limit. The invariants: a foreign exception never leaves this file, it is
translated here, once, into a word that the trail can hold; what is translated carries
neither headers nor bodies, so that no secret shows; and leaving `send` early, by error
or cancellation, closes the connection at once.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from yarl import URL

from sidecar.domain import Timeouts
from sidecar.errors import UpstreamError, UpstreamInvalidError, UpstreamTimeoutError
from sidecar.providers.address import checked_url
from sidecar.providers.environment import proxy_for, tls_context
from sidecar.providers.words import NEVER_SENT as NEVER_SENT  # noqa: PLC0414  told from here
from sidecar.providers.words import SENTENCES

_FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
_READ_AHEAD_BYTES = 64 * 1024
_KEEP_ALIVE_S = 60.0
_FINISH_S = 0.25


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one URL, found once and not for each request."""

    url: URL
    proxy: URL | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """Whom an error names."""
        return f"{self.url.host}:{self.url.port}"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One POST. Headers and body stay out of its repr: they hold keys and prompts.

    `streams` says that the answer comes in pieces, so that the first of them has a
    deadline of its own, and each of the others too; the first byte of a whole answer comes
    when all of it is made.
    """

    route: Route
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    streams: bool = False


class Response:
    """The head of an answer, and its body piece by piece."""

    def __init__(
        self,
        raw: aiohttp.ClientResponse,
        place: str,
        *,
        most_bytes: int,
        first_by: float | None,
        between_s: float | None = None,
    ) -> None:
        self.status = raw.status
        self.headers: Mapping[str, str] = raw.headers
        self._raw = raw
        self._place = place
        self._bytes_left = most_bytes
        self._bytes_read = 0
        self._first_by = first_by
        self._between_s = between_s

    def first_token_came(self) -> None:
        """Lift the first deadline; from here on the wait for each piece and the total count."""
        self._first_by = None

    async def next_piece(self) -> bytes:
        """Return what has come, at least one byte; empty at the end of the body."""
        limit = asyncio.timeout_at(self._piece_by())
        try:
            async with limit:
                piece = await self._raw.content.readany()
        except _FOREIGN as error:
            failure = _translate(error, self._place, self._late() if limit.expired() else "")
            failure.has_all_come = self._has_all_come(error)
            raise failure from None
        self._bytes_left -= len(piece)
        self._bytes_read += len(piece)
        if self._bytes_left < 0:
            raise UpstreamInvalidError(
                f"the answer of {self._place} is too large", reason="too_large"
            )
        return piece

    def _piece_by(self) -> float | None:
        """When the next piece must be here."""
        if self._first_by is not None or self._between_s is None:
            return self._first_by
        return asyncio.get_running_loop().time() + self._between_s

    def _has_all_come(self, error: BaseException) -> bool:
        """Whether nothing was dropped behind what was read. Of a reset only the text tells."""
        return self._raw.content.total_bytes == self._bytes_read and "Reset" not in str(error)

    def _late(self) -> str:
        """What it is called when the next piece was not."""
        return "timeout_between_tokens" if self._first_by is None else "timeout_first_token"

    async def read(self) -> bytes:
        """Return the whole body."""
        pieces = []
        while piece := await self.next_piece():
            pieces.append(piece)
        return b"".join(pieces)

    async def read_at_most(self, most_bytes: int) -> bytes | None:
        """Return the whole body, or None where it is longer or can't be read."""
        self._bytes_left = most_bytes
        try:
            return await self.read()
        except UpstreamError:
            return None

    async def finish(self) -> None:
        """Wait shortly for the end of a body whose content is known to be complete.

        Only a connection that was read to its end can be used again.
        """
        if self._raw.content.at_eof():
            return
        try:
            async with asyncio.timeout(_FINISH_S):
                await self.read()
        except (UpstreamError, TimeoutError):
            return  # `close` drops the connection, and nobody misses anything


class Transport:
    """A pool of connections. One for real providers, one without environment for simulated.

    Use on one event loop only. `max_response_bytes` bounds a body both as it is sent and
    as it is unpacked.
    """

    def __init__(
        self,
        *,
        use_environment: bool = True,
        environ: Mapping[str, str] = os.environ,
        max_response_bytes: int = 32 * 1024 * 1024,
        max_connections: int = 500,
    ) -> None:
        self._environ: Mapping[str, str] = environ if use_environment else {}
        self._max_response_bytes = max_response_bytes
        self._max_connections = max_connections
        self._tls: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None

    def route(self, url: str) -> Route:
        """Find the way to `url`: proxy and certificates. ConfigError where there is none."""
        parsed = checked_url(url)
        scheme, host, port = parsed.scheme, parsed.host or "", parsed.port or 0
        proxy = proxy_for(scheme, host, port, self._environ)
        encrypted = scheme == "https" or (proxy is not None and proxy.startswith("https"))
        return Route(
            url=parsed,
            proxy=None if proxy is None else URL(proxy),
            tls=self._require_tls() if encrypted else None,
        )

    @asynccontextmanager
    async def send(self, request: HttpRequest, timeouts: Timeouts) -> AsyncIterator[Response]:
        """Send once and yield the response; its connection is closed unless read to the end."""
        first_by = between_s = None
        if request.streams:
            first_by = asyncio.get_running_loop().time() + timeouts.first_token_s
            between_s = timeouts.between_tokens_s
        raw = await self._open(request, timeouts, first_by)
        try:
            yield self._judged(raw, request.route.place, first_by, between_s)
        finally:
            raw.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _open(
        self, request: HttpRequest, timeouts: Timeouts, first_by: float | None
    ) -> aiohttp.ClientResponse:
        limit = asyncio.timeout_at(first_by)
        try:
            async with limit:
                return await self._require_session().post(
                    request.route.url,
                    data=request.body,
                    headers=request.headers,
                    proxy=request.route.proxy,
                    ssl=request.route.tls or True,
                    timeout=_client_timeout(timeouts),
                    allow_redirects=False,
                )
        except _FOREIGN as error:
            late = "timeout_first_token" if limit.expired() else ""
            raise _translate(error, request.route.place, late) from None

    def _judged(
        self,
        raw: aiohttp.ClientResponse,
        place: str,
        first_by: float | None,
        between_s: float | None,
    ) -> Response:
        if 300 <= raw.status < 400:
            raise UpstreamInvalidError(
                f"{place} answered with a redirect, which is never followed",
                reason="redirect",
                upstream_status=raw.status,
            )
        return Response(
            raw, place, most_bytes=self._max_response_bytes, first_by=first_by, between_s=between_s
        )

    def _require_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_connections, keepalive_timeout=_KEEP_ALIVE_S
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                # aiohttp's own reading of the environment asks ~/.netrc for a key, in a
                # thread, for every request; `route` has done what is wanted of it.
                trust_env=False,
                # Nothing is sent but what the provider's allow-list names.
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
                read_bufsize=_READ_AHEAD_BYTES,
            )
        return self._session

    def _require_tls(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self._environ)
        return self._tls


@lru_cache(maxsize=64)
def _client_timeout(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    # `connect` counts name lookup, handshake and the wait for a free place in the pool.
    return aiohttp.ClientTimeout(
        total=timeouts.total_s, connect=timeouts.connect_s, ceil_threshold=float("inf")
    )


# The first row that fits decides, so subclasses stand above their parents.
_WORDS: tuple[tuple[type[BaseException], str, type[UpstreamError]], ...] = (
    (aiohttp.ConnectionTimeoutError, "timeout_connect", UpstreamTimeoutError),
    (TimeoutError, "timeout_total", UpstreamTimeoutError),
    (aiohttp.ClientConnectorDNSError, "dns", UpstreamError),
    (aiohttp.ClientProxyConnectionError, "proxy", UpstreamError),
    (aiohttp.ClientHttpProxyError, "proxy", UpstreamError),
    (aiohttp.ClientConnectorCertificateError, "tls", UpstreamError),
    (aiohttp.ClientSSLError, "tls", UpstreamError),
    (aiohttp.ClientConnectorError, "connect", UpstreamError),
    (aiohttp.ServerDisconnectedError, "disconnect", UpstreamError),
    (aiohttp.ClientPayloadError, "cut", UpstreamError),
    (aiohttp.ClientResponseError, "malformed", UpstreamInvalidError),
    (aiohttp.ClientError, "reset", UpstreamError),
    (OSError, "reset", UpstreamError),
    (Exception, "malformed", UpstreamInvalidError),
)


def _translate(error: BaseException, place: str, late: str) -> UpstreamError:
    """Our error for a foreign one; `late` names the deadline of ours that was missed, if any."""
    reason, kind = _word(error, late)
    message = f"{place} {SENTENCES[reason]} ({type(error).__name__})"
    return kind(message, reason=reason, never_sent=reason in NEVER_SENT)


def _word(error: BaseException, late: str) -> tuple[str, type[UpstreamError]]:
    if late:
        return late, UpstreamTimeoutError
    if isinstance(error.__cause__, ContentEncodingError):
        return "encoding", UpstreamInvalidError
    return next((word, kind) for type_, word, kind in _WORDS if isinstance(error, type_))

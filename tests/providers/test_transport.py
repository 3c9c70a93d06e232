"""Every way in which a connection can fail has one word, and only one attempt is made."""

from __future__ import annotations

import gzip
import socket
import zlib

import pytest

from sidecar.domain import Timeouts
from sidecar.errors import (
    ConfigError,
    UpstreamError,
    UpstreamInvalidError,
    UpstreamTimeoutError,
)
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.transport import NEVER_SENT, Transport

from .asking import COMPLETION, HURRIED, PATIENT, asks, provider, read_stream
from .faults import (
    Behaviour,
    FaultServer,
    chunk,
    closes,
    drips,
    event_stream,
    floods,
    replies,
    resets,
    stalls,
    whole,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GZIPPED = "Content-Encoding: gzip"


async def failure(
    behaviour: Behaviour, transport: Transport, timeouts: Timeouts = PATIENT
) -> UpstreamError:
    """Ask a server that behaves so for a whole answer, and return what was raised."""
    async with FaultServer(behaviour) as server:
        with pytest.raises(UpstreamError) as raised:
            await provider(server.url, transport).complete(asks(), "m", timeouts)
        assert len(server.requests) == 1
    return raised.value


def unused_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def test_a_closed_port_is_connect(transport: Transport) -> None:
    """A refused connection proves that nothing was sent."""
    nobody = provider(f"http://127.0.0.1:{unused_port()}", transport)
    with pytest.raises(UpstreamError) as raised:
        await nobody.complete(asks(), "m", PATIENT)
    assert raised.value.reason == "connect"
    assert raised.value.reason in NEVER_SENT


async def test_an_unknown_name_is_dns(transport: Transport) -> None:
    """A name without an address is told apart from a dead server."""
    with pytest.raises(UpstreamError) as raised:
        await provider("http://nobody.invalid", transport).complete(asks(), "m", PATIENT)
    assert raised.value.reason == "dns"


async def test_a_server_that_accepts_nobody_is_timeout_connect(transport: Transport) -> None:
    """A full backlog leaves the handshake unanswered, and the wait for it is bounded."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(UpstreamTimeoutError) as raised:
            await provider(url, transport).complete(asks(), "m", Timeouts(connect_s=0.05))
        for filler in fillers:
            filler.close()
    assert raised.value.reason == "timeout_connect"
    assert raised.value.status == 504


async def test_a_reset_before_the_answer_is_reset(transport: Transport) -> None:
    """A TCP reset may come after the request was worked on, so it proves nothing."""
    error = await failure(resets(), transport)
    assert error.reason == "reset"
    assert error.reason not in NEVER_SENT


async def test_a_reset_inside_the_body_is_no_answer(transport: Transport) -> None:
    """Half an answer, then a reset: never taken for a whole one."""
    error = await failure(resets(HEAD + b"Content-Length: 100\r\n\r\n{"), transport)
    assert error.reason in ("reset", "cut")


async def test_a_close_without_a_word_is_disconnect(transport: Transport) -> None:
    """The request arrived, the connection ended, nothing came back."""
    assert (await failure(closes(), transport)).reason == "disconnect"


async def test_a_head_cut_in_the_middle_is_disconnect(transport: Transport) -> None:
    """Half a head is no answer either."""
    assert (await failure(closes(HEAD[:30]), transport)).reason == "disconnect"


@pytest.mark.parametrize(
    "start",
    [
        HEAD + b"Content-Length: 100\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"{}"),
    ],
)
async def test_a_body_that_ends_early_is_cut(start: bytes, transport: Transport) -> None:
    """Both kinds of framing tell that more was promised."""
    assert (await failure(closes(start), transport)).reason == "cut"


async def test_what_is_not_http_is_malformed(transport: Transport) -> None:
    """A server of another protocol is the operator's mistake, not worth a retry."""
    error = await failure(closes(b"220 smtp.example ready\r\n\r\n"), transport)
    assert isinstance(error, UpstreamInvalidError)
    assert error.reason == "malformed"


async def test_a_broken_chunk_size_is_translated(transport: Transport) -> None:
    """A framing error inside the body never leaves as a foreign exception."""
    broken = HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n"
    assert (await failure(closes(broken), transport)).reason in ("cut", "malformed")


async def test_a_head_without_end_is_malformed(transport: Transport) -> None:
    """Headers are bounded too."""
    endless = floods(HEAD + b"X-Long: ", b"x" * 1024)
    assert (await failure(endless, transport)).reason == "malformed"


async def test_silence_after_the_request_is_timeout_total(transport: Transport) -> None:
    """A whole answer has one deadline beyond the connection: the total."""
    error = await failure(stalls(), transport, HURRIED)
    assert isinstance(error, UpstreamTimeoutError)
    assert error.reason == "timeout_total"


async def test_silence_inside_the_body_is_timeout_total(transport: Transport) -> None:
    """The total holds while the body is read."""
    half = stalls(HEAD + b"Content-Length: 100\r\n\r\n{")
    assert (await failure(half, transport, HURRIED)).reason == "timeout_total"


@pytest.mark.parametrize("start", [b"", event_stream(end=False)])
async def test_a_stream_that_does_not_begin_is_timeout_first_token(
    start: bytes, transport: Transport
) -> None:
    """Neither silence nor a head without events counts as a beginning."""
    slow = Timeouts(connect_s=5, first_token_s=0.05, total_s=30)
    async with FaultServer(stalls(start)) as server:
        with pytest.raises(UpstreamTimeoutError) as raised:
            await read_stream(provider(server.url, transport), slow)
    assert raised.value.reason == "timeout_first_token"


async def test_comments_are_not_a_first_token(transport: Transport) -> None:
    """A server that only says that it lives has not begun to answer."""
    slow = Timeouts(connect_s=5, first_token_s=0.05, total_s=30)
    alive = event_stream(end=False) + chunk(b": processing\n\n")
    async with FaultServer(stalls(alive)) as server:
        with pytest.raises(UpstreamTimeoutError) as raised:
            await read_stream(provider(server.url, transport), slow)
    assert raised.value.reason == "timeout_first_token"


async def test_a_body_over_the_limit_is_too_large() -> None:
    """One byte more is too much."""
    small = Transport(use_environment=False, max_response_bytes=1000)
    error = await failure(replies(whole(b" " * 1001)), small)
    assert isinstance(error, UpstreamInvalidError)
    assert error.reason == "too_large"
    await small.close()


async def test_an_endless_stream_is_too_large() -> None:
    """The limit counts the whole stream, not an event."""
    small = Transport(use_environment=False, max_response_bytes=10_000)
    async with FaultServer(floods(event_stream(end=False), chunk(b": x\n\n" * 100))) as server:
        with pytest.raises(UpstreamInvalidError) as raised:
            await read_stream(provider(server.url, small))
    assert raised.value.reason == "too_large"
    await small.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_is_too_large(encoding: str) -> None:
    """The limit counts bytes as unpacked: 16 MiB of blanks travel as 16 KiB."""
    small = Transport(use_environment=False, max_response_bytes=1 << 20)
    blanks = b" " * (16 << 20)
    bomb = gzip.compress(blanks) if encoding == "gzip" else zlib.compress(blanks)
    error = await failure(replies(whole(bomb, f"Content-Encoding: {encoding}")), small)
    assert error.reason == "too_large"
    await small.close()


async def test_a_gzipped_answer_is_read(transport: Transport) -> None:
    """Encoding was not asked for, and is understood where it comes."""
    async with FaultServer(replies(whole(gzip.compress(COMPLETION), GZIPPED))) as server:
        answer = await provider(server.url, transport).complete(asks(), "m", PATIENT)
    assert answer.choices[0].text == "Hello"


async def test_a_false_gzip_is_encoding(transport: Transport) -> None:
    """What can't be unpacked is not an answer."""
    error = await failure(replies(whole(COMPLETION, GZIPPED)), transport)
    assert isinstance(error, UpstreamInvalidError)
    assert error.reason == "encoding"


async def test_an_answer_in_slices_of_one_byte_is_read(transport: Transport) -> None:
    """How a reply is cut into segments does not matter."""
    async with FaultServer(drips(whole(COMPLETION))) as server:
        answer = await provider(server.url, transport).complete(asks(), "m", PATIENT)
    assert answer.choices[0].text == "Hello"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Same", "308 Same"])
async def test_a_redirect_is_never_followed(status: str, transport: Transport) -> None:
    """The place that a redirect names receives nothing at all."""
    async with FaultServer(closes()) as canary:
        moved = whole(b"", f"Location: {canary.url}/v1/chat/completions", status=status)
        error = await failure(replies(moved), transport)
        assert canary.connections == 0
    assert isinstance(error, UpstreamInvalidError)
    assert error.reason == "redirect"


async def test_a_post_is_not_sent_again_on_a_dead_connection(transport: Transport) -> None:
    """A pooled connection that dies under the second request fails it, once."""
    answers = iter([replies(whole(COMPLETION)), closes()])

    async def behave(reader: object, writer: object) -> None:
        await next(answers)(reader, writer)

    async with FaultServer(behave) as server:
        asked = provider(server.url, transport)
        await asked.complete(asks(), "m", PATIENT)
        with pytest.raises(UpstreamError) as raised:
            await asked.complete(asks(), "m", PATIENT)
        assert raised.value.reason == "disconnect"
        assert (server.connections, len(server.requests)) == (1, 2)


async def test_connections_are_used_again(transport: Transport) -> None:
    """Also when the end of a stream's body comes later than the end of its answer."""
    done = drips(event_stream(b"[DONE]"))
    answers = iter([replies(whole(COMPLETION)), done, done, replies(whole(COMPLETION))])

    async def behave(reader: object, writer: object) -> None:
        await next(answers)(reader, writer)

    async with FaultServer(behave) as server:
        asked = provider(server.url, transport)
        await asked.complete(asks(), "m", PATIENT)
        await read_stream(asked)
        await read_stream(asked)
        await asked.complete(asks(), "m", PATIENT)
        assert server.connections == 1


async def test_cookies_are_not_kept(transport: Transport) -> None:
    """What one answer sets, the next request does not carry."""
    async with FaultServer(replies(whole(COMPLETION, "Set-Cookie: a=b; Path=/"))) as server:
        asked = provider(server.url, transport)
        await asked.complete(asks(), "m", PATIENT)
        await asked.complete(asks(), "m", PATIENT)
        assert b"cookie" not in server.requests[1].lower()


@pytest.mark.parametrize(
    "url",
    ["ftp://host/v1", "host:80/v1", "", "http://", "http://me:pw@host/v1", "http://host/v1?a=b"],
)
async def test_a_base_url_that_is_none_is_refused(url: str, transport: Transport) -> None:
    """A mistake in config shows at start, and no part of a password with it."""
    with pytest.raises(ConfigError) as raised:
        OpenAIProvider("x", url, None, transport)
    assert "pw" not in str(raised.value)

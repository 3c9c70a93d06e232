"""One attempt at a compatible server, reported truthfully."""

from __future__ import annotations

import orjson
import pytest

from sidecar import __version__
from sidecar.domain import Timeouts
from sidecar.errors import (
    Origin,
    UpstreamError,
    UpstreamInvalidError,
    UpstreamRefusedError,
)
from sidecar.providers.judge import CALLERS_FAULT
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.transport import Transport

from .asking import COMPLETION, EVENT, KEY, PATIENT, asks, provider, read_stream
from .faults import FaultServer, chunk, closes, drips, event_stream, replies, resets, whole

LONG = orjson.dumps({"error": "x" * 65536})
REFUSAL = b'{"error": {"message": "no", "type": "invalid_request_error"}}'


async def failure(reply: bytes, transport: Transport) -> UpstreamError:
    """Ask for a whole answer, get this reply, and return what was raised."""
    async with FaultServer(replies(reply)) as server:
        with pytest.raises(UpstreamError) as raised:
            await provider(server.url, transport).complete(asks(), "m", PATIENT)
    return raised.value


async def stream_failure(reply: bytes, transport: Transport) -> UpstreamError:
    """Ask for a stream, get this reply and the connection's end, and return what was raised."""
    async with FaultServer(closes(reply)) as server:
        with pytest.raises(UpstreamError) as raised:
            await read_stream(provider(server.url, transport))
    return raised.value


async def test_a_whole_answer_is_read(transport: Transport) -> None:
    """Text, finish and usage arrive as domain types."""
    async with FaultServer(replies(whole(COMPLETION))) as server:
        answer = await provider(server.url, transport).complete(asks(), "m", PATIENT)
    assert (answer.choices[0].text, answer.choices[0].finish) == ("Hello", "stop")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 1)


async def test_the_head_is_built_from_an_allow_list(transport: Transport) -> None:
    """Nothing is sent but these headers, and there is no way to hand over others."""
    async with FaultServer(replies(whole(COMPLETION))) as server:
        await provider(server.url, transport).complete(asks(), "m", PATIENT)
        head = server.requests[0].split(b"\r\n\r\n")[0].decode().split("\r\n")
    sent = dict(line.split(": ", 1) for line in head[1:])
    assert head[0] == "POST /v1/chat/completions HTTP/1.1"
    assert sent.keys() == {
        *("Host", "Content-Length", "Content-Type"),
        *("Accept", "User-Agent", "Authorization"),
    }
    assert sent["Authorization"] == f"Bearer {KEY}"
    assert sent["User-Agent"] == f"semantic-sidecar/{__version__}"


async def test_no_key_sends_no_authorization(transport: Transport) -> None:
    """A local server needs none."""
    async with FaultServer(replies(whole(COMPLETION))) as server:
        local = OpenAIProvider("local", f"{server.url}/v1/", None, transport)
        await local.complete(asks(), "m", PATIENT)
        assert b"authorization" not in server.requests[0].lower()


async def test_the_provider_is_asked_for_its_own_model(transport: Transport) -> None:
    """What the app asked for is not what the provider is called with."""
    async with FaultServer(replies(whole(COMPLETION))) as server:
        await provider(server.url, transport).complete(asks(), "gpt-4o-2024", PATIENT)
        body = orjson.loads(server.requests[0].split(b"\r\n\r\n", 1)[1])
    assert body["model"] == "gpt-4o-2024"
    assert "stream" not in body


async def test_a_stream_is_always_asked_for_its_usage(transport: Transport) -> None:
    """Without it the stream can't be accounted for."""
    async with FaultServer(replies(event_stream(EVENT, b"[DONE]"))) as server:
        await read_stream(provider(server.url, transport))
        body = orjson.loads(server.requests[0].split(b"\r\n\r\n", 1)[1])
    assert body["stream_options"] == {"include_usage": True}


async def test_a_stream_in_slices_of_one_byte_is_the_same(transport: Transport) -> None:
    """How it is cut into segments does not matter."""
    async with FaultServer(drips(event_stream(EVENT, EVENT, b"[DONE]"))) as server:
        chunks = await read_stream(provider(server.url, transport))
    assert [piece.deltas[0].text for piece in chunks] == ["Hello", "Hello"]


async def test_chunks_come_as_they_are_sent(transport: Transport) -> None:
    """The first is here while the second has not been made."""
    async with FaultServer(replies(event_stream(EVENT, end=False))) as server:
        chunks = provider(server.url, transport).stream(asks(stream=True), "m", PATIENT)
        assert (await anext(chunks)).deltas[0].text == "Hello"
        await chunks.aclose()


async def test_after_the_first_event_only_the_total_counts(transport: Transport) -> None:
    """A slow reader, or a slow second token, is not a slow first one."""
    timeouts = Timeouts(connect_s=5, first_token_s=0.5, total_s=0.8)
    start = event_stream(EVENT, end=False)

    async def behave(reader: object, writer: object) -> None:
        writer.write(start)
        await reader.readexactly(1)

    async with FaultServer(behave) as server:
        with pytest.raises(UpstreamError) as raised:
            await read_stream(provider(server.url, transport), timeouts)
    assert raised.value.reason == "timeout_total"


@pytest.mark.parametrize("events", [(), (EVENT,), (EVENT, EVENT)])
@pytest.mark.parametrize("end", [True, False])
async def test_a_stream_without_its_terminal_event_is_cut(
    events: tuple[bytes, ...], end: bool, transport: Transport
) -> None:
    """However properly the connection was closed."""
    assert (await stream_failure(event_stream(*events, end=end), transport)).reason == "cut"


async def test_a_stream_that_is_reset_is_no_end(transport: Transport) -> None:
    """A reset after some chunks is an error too."""
    async with FaultServer(resets(event_stream(EVENT, end=False))) as server:
        with pytest.raises(UpstreamError) as raised:
            await read_stream(provider(server.url, transport))
    assert raised.value.reason in ("reset", "cut")


async def test_half_an_event_is_cut(transport: Transport) -> None:
    """What stands behind the last blank line is never an event."""
    torn = event_stream(EVENT, end=False) + chunk(b"data: " + EVENT)
    assert (await stream_failure(torn, transport)).reason == "cut"


async def test_a_terminal_event_without_its_blank_line_is_an_end(transport: Transport) -> None:
    """Some servers close right behind it."""
    sloppy = event_stream(EVENT, end=False) + chunk(b"data: [DONE]\n") + b"0\r\n\r\n"
    async with FaultServer(replies(sloppy)) as server:
        assert len(await read_stream(provider(server.url, transport))) == 1


async def test_an_error_inside_a_stream_is_an_error(transport: Transport) -> None:
    """A 200 followed by an error never looks like success."""
    error = b'{"error": {"message": "overloaded", "code": "overloaded"}}'
    raised = await stream_failure(event_stream(EVENT, error, b"[DONE]"), transport)
    assert raised.reason == "error_in_stream"


async def test_a_broken_event_is_invalid(transport: Transport) -> None:
    """An event that is not JSON can't be passed over in silence."""
    raised = await stream_failure(event_stream(b"{nonsense", b"[DONE]"), transport)
    assert isinstance(raised, UpstreamInvalidError)


async def test_a_whole_reply_to_a_stream_is_invalid(transport: Transport) -> None:
    """A server that ignores `stream` is told from one that was cut."""
    assert (await stream_failure(whole(COMPLETION), transport)).reason == "not_a_stream"


async def test_an_error_instead_of_a_stream_is_an_error(transport: Transport) -> None:
    """Some servers tell their errors with status 200."""
    assert (await stream_failure(whole(REFUSAL), transport)).reason == "error_in_body"


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"choices": []}', b"\xff"])
async def test_a_body_that_is_no_answer_is_invalid(body: bytes, transport: Transport) -> None:
    """Status 200 alone proves nothing."""
    assert isinstance(await failure(whole(body), transport), UpstreamInvalidError)


@pytest.mark.parametrize("status", sorted(CALLERS_FAULT))
async def test_the_callers_fault_is_passed_on(status: int, transport: Transport) -> None:
    """With its own status and body, and the headers that the SDKs' retries obey."""
    hints = ("Retry-After: 7", "Retry-After-Ms: 7000", "X-Should-Retry: false", "X-Other: no")
    error = await failure(whole(REFUSAL, *hints, status=f"{status} No"), transport)
    assert isinstance(error, UpstreamRefusedError)
    assert (error.upstream_status, error.body, error.origin) == (status, REFUSAL, Origin.CLIENT)
    assert error.headers == {
        "retry-after": "7",
        "retry-after-ms": "7000",
        "x-should-retry": "false",
    }


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"[1]", b"{" * 200, b'{"a": "' + KEY.encode() + b'"}', LONG]
)
async def test_a_refusal_that_can_not_be_shown_is_replaced(
    body: bytes, transport: Transport
) -> None:
    """Not JSON, too long, or quoting our key: the app gets an error of ours instead."""
    error = await failure(whole(body, status="400 No"), transport)
    assert isinstance(error, UpstreamRefusedError)
    assert orjson.loads(error.body)["error"]["code"] == "status_400"
    assert KEY.encode() not in error.body


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_our_fault(status: int, transport: Transport) -> None:
    """The body shows parts of the key, so that none of it is kept."""
    body = b'{"error": {"message": "Incorrect API key provided: sk-canary"}}'
    error = await failure(whole(body, status=f"{status} No"), transport)
    assert not isinstance(error, UpstreamRefusedError)
    assert (error.reason, error.upstream_status) == ("auth", status)
    assert "sk-canary" not in str(vars(error)) + str(error)


@pytest.mark.parametrize("status", [402, 405, 408, 451, 500, 502, 503, 504, 529])
async def test_other_failures_keep_their_status_and_no_body(
    status: int, transport: Transport
) -> None:
    """A provider's error page is no business of the app; when to come back is."""
    error = await failure(whole(b"{}", "Retry-After: 3", status=f"{status} No"), transport)
    word = "overloaded" if status in (503, 529) else f"status_{status}"
    assert (type(error), error.reason) == (UpstreamError, word)
    assert (error.upstream_status, error.headers) == (status, {"retry-after": "3"})


async def test_an_error_body_that_is_cut_is_still_that_error(transport: Transport) -> None:
    """The status is known; how the rest fails does not matter."""
    async with FaultServer(closes(b"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\n{")) as server:
        with pytest.raises(UpstreamError) as raised:
            await provider(server.url, transport).complete(asks(), "m", PATIENT)
    assert raised.value.reason == "overloaded"

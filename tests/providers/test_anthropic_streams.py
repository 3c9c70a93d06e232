"""A stream of an Anthropic server: it ends with its last event and with nothing else."""

from __future__ import annotations

import pytest

from sidecar.domain import Chunk, Timeouts
from sidecar.errors import UpstreamError
from sidecar.providers.anthropic import AnthropicProvider
from sidecar.providers.transport import Transport
from sidecar.wire.assemble import assemble

from .asking import PATIENT, asks
from .claude import REFUSAL, STREAM, WHOLE, provider, split
from .faults import FaultServer, chunk, closes, drips, event_stream, replies, resets, whole


async def read(asked: AnthropicProvider, timeouts: Timeouts = PATIENT) -> list[Chunk]:
    """Every chunk of a stream."""
    return [part async for part in asked.stream(asks(stream=True), "m", timeouts)]


async def stream_failure(reply: bytes, transport: Transport) -> UpstreamError:
    """Ask for a stream, get this reply and the connection's end, and return what was raised."""
    async with FaultServer(closes(reply)) as server:
        with pytest.raises(UpstreamError) as raised:
            await read(provider(server.url, transport))
    return raised.value


async def test_a_stream_in_slices_of_one_byte_is_the_same(transport: Transport) -> None:
    """How it is cut into segments does not matter."""
    async with FaultServer(drips(event_stream(*STREAM))) as server:
        answer = assemble(await read(provider(server.url, transport)))
        _, _, body = split(server.requests[0])
    assert (answer.choices[0].text, answer.choices[0].finish) == ("Hello", "stop")
    assert answer.usage is not None
    assert answer.usage.input_tokens == 7
    assert body["stream"] is True


async def test_chunks_come_as_they_are_sent(transport: Transport) -> None:
    """The first words are here while the next have not been made."""
    async with FaultServer(replies(event_stream(*STREAM[:3], end=False))) as server:
        chunks = provider(server.url, transport).stream(asks(stream=True), "m", PATIENT)
        assert (await anext(chunks)).deltas[0].role == "assistant"
        assert (await anext(chunks)).deltas[0].text == "Hello"
        await chunks.aclose()


async def test_that_it_has_begun_is_no_token(transport: Transport) -> None:
    """A stream that only pings misses the deadline of its first token."""
    timeouts = Timeouts(connect_s=5, first_token_s=0.3, total_s=5)
    begun = event_stream(STREAM[0], b'{"type": "ping"}', end=False)
    async with FaultServer(replies(begun)) as server:
        with pytest.raises(UpstreamError) as raised:
            await read(provider(server.url, transport), timeouts)
    assert raised.value.reason == "timeout_first_token"


@pytest.mark.parametrize("count", range(len(STREAM)))
@pytest.mark.parametrize("end", [True, False])
async def test_a_stream_without_its_last_event_is_cut(
    count: int, end: bool, transport: Transport
) -> None:
    """However far it came, and however properly the connection was closed."""
    assert (await stream_failure(event_stream(*STREAM[:count], end=end), transport)).reason == "cut"


async def test_a_last_event_without_its_blank_line_is_cut(transport: Transport) -> None:
    """What stands behind the last blank line is never an event."""
    torn = event_stream(*STREAM[:-1], end=False) + chunk(b"data: " + STREAM[-1])
    assert (await stream_failure(torn, transport)).reason == "cut"


async def test_a_stream_that_is_reset_is_no_end(transport: Transport) -> None:
    """A reset after some chunks is an error too."""
    async with FaultServer(resets(event_stream(*STREAM[:3], end=False))) as server:
        with pytest.raises(UpstreamError) as raised:
            await read(provider(server.url, transport))
    assert raised.value.reason in ("reset", "cut")


async def test_an_error_inside_a_stream_is_an_error(transport: Transport) -> None:
    """A 200 followed by an error never looks like success."""
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    raised = await stream_failure(event_stream(*STREAM[:3], error), transport)
    assert raised.reason == "overloaded"


async def test_a_whole_reply_to_a_stream_is_invalid(transport: Transport) -> None:
    """A server that ignores `stream` is told from one that was cut."""
    assert (await stream_failure(whole(WHOLE), transport)).reason == "not_a_stream"
    assert (await stream_failure(whole(REFUSAL), transport)).reason == "error_in_body"

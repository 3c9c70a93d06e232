"""A stream that stops in the middle is given up after the time between two pieces."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.domain import Timeouts
from sidecar.errors import UpstreamError, UpstreamTimeoutError
from sidecar.providers.transport import Transport

from .asking import COMPLETION, EVENT, asks, provider, read_stream
from .faults import FaultServer, Reader, Writer, chunk, closes, event_stream, stalls, whole

IMPATIENT = Timeouts(connect_s=5, first_token_s=5, total_s=20, between_tokens_s=0.1)


async def test_silence_after_the_first_piece(transport: Transport) -> None:
    """It has a word of its own, and nobody waits for the total."""
    async with FaultServer(stalls(event_stream(EVENT, end=False))) as server:
        with pytest.raises(UpstreamTimeoutError) as raised:
            await read_stream(provider(server.url, transport), IMPATIENT)
    assert (raised.value.reason, raised.value.never_sent) == ("timeout_between_tokens", False)


async def test_each_piece_renews_the_wait(transport: Transport) -> None:
    """A slow stream that goes on is as good as any."""

    async def trickles(_: Reader, writer: Writer) -> None:
        writer.write(event_stream(end=False))
        for event in [EVENT] * 5 + [b"[DONE]"]:
            await asyncio.sleep(0.05)
            writer.write(chunk(b"data: " + event + b"\n\n"))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async with FaultServer(trickles) as server:
        chunks = await read_stream(provider(server.url, transport), IMPATIENT)
    assert len(chunks) == 5


async def test_a_whole_answer_has_no_such_wait(transport: Transport) -> None:
    """It is made as a whole, however long that takes."""

    async def ponders(_: Reader, writer: Writer) -> None:
        reply = whole(COMPLETION)
        writer.write(reply[:-5])
        await asyncio.sleep(0.2)
        writer.write(reply[-5:])

    async with FaultServer(ponders) as server:
        answer = await provider(server.url, transport).complete(asks(), "m", IMPATIENT)
    assert answer.choices[0].text


async def test_what_was_never_sent_is_told_apart(transport: Transport) -> None:
    """A closed door proves that nothing was worked on; a lost answer doesn't."""
    with pytest.raises(UpstreamError) as closed:
        await provider("http://127.0.0.1:1", transport).complete(asks(), "m", IMPATIENT)
    async with FaultServer(closes()) as server:
        with pytest.raises(UpstreamError) as lost:
            await provider(server.url, transport).complete(asks(), "m", IMPATIENT)
    assert (closed.value.never_sent, lost.value.never_sent) == (True, False)

"""Whether all that a provider has sent was read before its stream broke: a bill depends on it."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.errors import UpstreamError
from sidecar.providers.transport import Transport

from .asking import EVENT, PATIENT, asks, provider
from .faults import Behaviour, FaultServer, Reader, Writer, chunk, event_stream, resets


async def read_of(behaviour: Behaviour, transport: Transport, read: asyncio.Event) -> UpstreamError:
    """Read a stream, busy for a while with each chunk, and tell so; what it broke with."""

    async def read_on(url: str) -> None:
        async for _ in provider(url, transport).stream(asks(stream=True), "m", PATIENT):
            read.set()
            await asyncio.sleep(0.1)

    async with FaultServer(behaviour) as server:
        with pytest.raises(UpstreamError) as raised:
            await read_on(server.url)
        return raised.value


def in_two(read: asyncio.Event, rest: bytes) -> Behaviour:
    """Send one event; once it is read, the rest, and close in the midst of the body."""

    async def behave(_: Reader, writer: Writer) -> None:
        writer.write(event_stream(EVENT, end=False))
        await writer.drain()
        await read.wait()
        writer.write(rest)
        writer.close()

    return behave


async def test_a_stream_that_ends_behind_what_was_read_has_all_come(transport: Transport) -> None:
    """Nothing was on its way any more."""
    read = asyncio.Event()
    error = await read_of(in_two(read, b""), transport, read)
    assert (error.reason, error.has_all_come) == ("cut", True)


async def test_what_came_with_the_end_may_never_have_been_read(transport: Transport) -> None:
    """Who was still busy with the event before can't know how much that was."""
    read = asyncio.Event()
    more = chunk(b"data: " + EVENT + b"\n\n") * 50
    error = await read_of(in_two(read, more), transport, read)
    assert (error.reason, error.has_all_come) == ("cut", False)


async def test_a_reset_takes_what_was_on_its_way(transport: Transport) -> None:
    """How much that was nobody can tell."""
    error = await read_of(resets(event_stream(EVENT, end=False)), transport, asyncio.Event())
    assert not error.has_all_come

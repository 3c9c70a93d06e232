"""Leaving early closes the connection at once and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import psutil
import pytest

from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.transport import Transport

from .asking import EVENT, PATIENT, asks, provider, read_stream, until
from .faults import Behaviour, FaultServer, event_stream, stalls

HALF_HEAD = b"HTTP/1.1 200 OK\r\nContent-Ty"
HALF_BODY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
Asking = Callable[[OpenAIProvider], Coroutine[Any, Any, object]]


async def complete(asked: OpenAIProvider) -> object:
    """Ask for a whole answer."""
    return await asked.complete(asks(), "m", PATIENT)


def open_files() -> int:
    """Count this process's file descriptors."""
    return psutil.Process().num_fds()


@pytest.mark.parametrize(
    ("asking", "behaviour"),
    [
        (complete, stalls()),
        (complete, stalls(HALF_HEAD)),
        (complete, stalls(HALF_BODY)),
        (read_stream, stalls()),
        (read_stream, stalls(event_stream(end=False))),
        (read_stream, stalls(event_stream(EVENT, end=False))),
    ],
)
async def test_a_cancelled_call_closes_its_connection(asking: Asking, behaviour: Behaviour) -> None:
    """Whatever it waited for: the server sees the end, tasks and files are as before."""
    async with FaultServer(behaviour) as server:
        files, tasks = open_files(), len(asyncio.all_tasks())
        transport = Transport(use_environment=False)
        call = asyncio.create_task(asking(provider(server.url, transport)))
        await server.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.gone.wait()
        await transport.close()
        await until(lambda: (open_files(), len(asyncio.all_tasks())) == (files, tasks))


async def test_a_stream_closed_early_closes_its_connection(transport: Transport) -> None:
    """A reader that has enough hangs up; the provider need not go on."""
    async with FaultServer(stalls(event_stream(EVENT, end=False))) as server:
        asked = provider(server.url, transport)
        async with aclosing(asked.stream(asks(stream=True), "m", PATIENT)) as chunks:
            assert (await anext(chunks)).deltas[0].text == "Hello"
        await server.gone.wait()


async def test_a_cancelled_call_harms_no_other(transport: Transport) -> None:
    """The pool goes on: the next call takes a connection of its own and is answered."""
    async with FaultServer(stalls()) as server:
        asked = provider(server.url, transport)
        calls = [asyncio.create_task(complete(asked)) for _ in range(2)]
        await until(lambda: len(server.requests) == 2)
        calls[0].cancel()
        await server.gone.wait()
        assert not calls[1].done()
        calls[1].cancel()
        await asyncio.gather(*calls, return_exceptions=True)

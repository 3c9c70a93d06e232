"""An embedder that stalls or gives nonsense costs hits, never answers.

A stall can't be asked for from outside, so here the application runs on the test's own loop,
behind real sockets, with an embedder of the same protocol put before the real one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from sidecar import Config, create_app
from sidecar.app import ADMIN_APP, SIDECAR
from sidecar.embed.protocol import Embedder, Vector

from .running import Provider, Reply, asking, config_for

ASKED = "How do I reset my password?"
NEAR = "How can I reset my password?"


class Moody:
    """The real embedder, which stalls while `stall` is set and gives NaN for poisoned texts."""

    def __init__(self, real: Embedder) -> None:
        self._real = real
        self.model_id = real.model_id
        self.dimension = real.dimension
        self.max_tokens = real.max_tokens
        self.poisoned: set[str] = set()
        self.stalled = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def embed(self, text: str) -> Vector:
        """The real vector, later, or none."""
        if not self.free.is_set():
            self.stalled.set()
            self.free.wait()
        vector = self._real.embed(text)
        return np.full_like(vector, np.nan) if text in self.poisoned else vector


@dataclass
class Inside:
    """A sidecar in this process. `request` sends to the data plane, `admin` to the other."""

    embedder: Moody
    ask: Callable[..., Awaitable[Reply]]
    admin: Callable[[str], Awaitable[Reply]]

    async def vectors(self) -> int:
        """How many are in the index."""
        return (await self.admin("/api/status")).json["cache"]["vectors"]


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """Serve `app` on a free port as the process does; its URL."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def open_inside(provider: Provider, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Start one with this deadline for a vector, in milliseconds."""
    async with AsyncExitStack() as stack:

        async def start(timeout_ms: int) -> Inside:
            changes = {"embedding": {"timeout_ms": timeout_ms}}
            app = create_app(Config.parse(config_for(provider, tmp_path, changes)))
            queue = app[SIDECAR].queue
            queue.embedder = moody = Moody(queue.embedder)
            admin = await stack.enter_async_context(listening(app[ADMIN_APP]))
            data = await stack.enter_async_context(listening(app))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            stack.callback(moody.free.set)

            async def send(method: str, url: str, **more: Any) -> Reply:
                async with session.request(method, url, **more) as answer:
                    named = {name.lower(): value for name, value in answer.headers.items()}
                    return Reply(answer.status, named, await answer.read())

            chat = f"{data}/v1/chat/completions"
            return Inside(
                moody,
                lambda question, **fields: send("POST", chat, json=asking(question, **fields)),
                lambda path: send("GET", f"{admin}{path}"),
            )

        yield start


async def test_a_stalled_embedder_costs_no_answer(open_inside: Any, provider: Provider) -> None:
    """The request goes on as a miss while the embedder still stalls."""
    inside = await open_inside(timeout_ms=50)
    inside.embedder.free.clear()
    reply = await inside.ask(ASKED)
    assert not inside.embedder.free.is_set()
    assert (reply.status, reply.cache, reply.reason) == (200, "miss", "embed_timeout")
    assert (await inside.ask(ASKED)).cache == "exact"
    assert await inside.vectors() == 0


async def test_many_behind_a_stalled_embedder(open_inside: Any, provider: Provider) -> None:
    """Each gets its own answer; none waits for the other's vector."""
    inside = await open_inside(timeout_ms=50)
    inside.embedder.free.clear()
    asked = [inside.ask(f"Tell me about item {number}") for number in range(40)]
    replies = await asyncio.gather(*asked)
    assert {reply.status for reply in replies} == {200}
    assert {reply.reason for reply in replies} <= {"embed_timeout", "embed_busy"}
    assert provider.calls == 40


async def test_others_are_answered_meanwhile(open_inside: Any, provider: Provider) -> None:
    """Health, metrics and exact hits don't wait for a vector that doesn't come."""
    inside = await open_inside(timeout_ms=60_000)
    await inside.ask(ASKED)
    inside.embedder.free.clear()
    waiting = asyncio.ensure_future(inside.ask(NEAR))
    await asyncio.to_thread(inside.embedder.stalled.wait, 10)
    for path in ("/healthz", "/readyz", "/metrics", "/api/status"):
        assert (await inside.admin(path)).status == 200
    assert (await inside.ask(ASKED)).cache == "exact"
    assert not waiting.done()
    inside.embedder.free.set()
    assert (await waiting).cache == "semantic"


async def test_it_recovers(open_inside: Any) -> None:
    """Once the embedder answers again, paraphrases are hits again."""
    inside = await open_inside(timeout_ms=60_000)
    inside.embedder.free.clear()
    waiting = asyncio.ensure_future(inside.ask(ASKED))
    await asyncio.to_thread(inside.embedder.stalled.wait, 10)
    inside.embedder.free.set()
    assert (await waiting).cache == "miss"
    assert (await inside.ask(NEAR)).cache == "semantic"


async def test_a_vector_that_is_no_vector(open_inside: Any, provider: Provider) -> None:
    """NaN is never indexed and never compared; the entry is found by equality alone."""
    inside = await open_inside(timeout_ms=10_000)
    inside.embedder.poisoned.add(ASKED)
    reply = await inside.ask(ASKED)
    assert (reply.cache, reply.reason) == ("miss", "embed_failed")
    assert await inside.vectors() == 0
    assert (await inside.ask(ASKED)).cache == "exact"
    near = await inside.ask(NEAR)
    assert (near.cache, near.reason) == ("miss", "not_found")
    assert provider.calls == 2


async def test_a_poisoned_question_finds_nothing(open_inside: Any) -> None:
    """A vector of NaN is near to nothing that is stored."""
    inside = await open_inside(timeout_ms=10_000)
    await inside.ask(ASKED)
    inside.embedder.poisoned.add(NEAR)
    reply = await inside.ask(NEAR)
    assert (reply.cache, reply.reason) == ("miss", "embed_failed")
    assert await inside.vectors() == 1

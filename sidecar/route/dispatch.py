"""Asks a target for an answer and records the attempt, whatever comes of it.

Nothing is retried in silence: what a target failed with is raised, with every attempt
named in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from random import random
from typing import Protocol

from sidecar.clock import Clock
from sidecar.domain import Attempt, Call, ChatRequest, Chunk, Completion, Timeouts
from sidecar.errors import UpstreamError
from sidecar.route.table import Route, Target
from sidecar.wire.assemble import Assembler


class Provider(Protocol):
    """One way to reach models. Fails with `UpstreamError` and nothing else, but for what
    can't be said in its words: that is an `InvalidRequestError` before anything is sent.

    `client_key` is the caller's own key, for a provider that is configured to be asked with it.
    """

    async def complete(
        self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
    ) -> Completion:
        """The whole reply."""
        ...

    def stream(
        self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
    ) -> AsyncGenerator[Chunk, None]:
        """The reply as it comes; ends without an error only after a terminal event."""
        ...


class Dispatcher:
    """Acts on a route."""

    def __init__(self, providers: Mapping[str, Provider], clock: Clock) -> None:
        self._providers = providers
        self._clock = clock

    async def ask(
        self,
        call: Call,
        route: Route,
        *,
        emit: Callable[[Chunk], None],
        attempts: list[Attempt],
    ) -> tuple[Completion, Target]:
        """The answer, and who gave it; the chunks of a stream go to `emit` as they come."""
        target = route.pick(random())  # noqa: S311  spreads load, guards no secret
        began = self._clock.tick()
        status, reason = None, "internal"
        try:
            completion = await self._ask(call.request, target, route.timeouts, emit)
            status, reason = 200, "ok"
        except UpstreamError as error:
            status, reason = error.upstream_status, error.reason
            raise
        except asyncio.CancelledError:
            reason = "cancelled"
            raise
        finally:
            ms = round((self._clock.tick() - began) * 1e3, 3)
            attempts.append(Attempt(target.provider, target.model, status, reason, ms))
        return completion, target

    async def _ask(
        self,
        request: ChatRequest,
        target: Target,
        timeouts: Timeouts,
        emit: Callable[[Chunk], None],
    ) -> Completion:
        provider = self._providers[target.provider]
        if not request.stream:
            return await provider.complete(request, target.model, timeouts)
        assembler = Assembler()
        # Closed by hand, so that a cancelled call lets go of its connection at once.
        async with aclosing(provider.stream(request, target.model, timeouts)) as chunks:
            async for chunk in chunks:
                assembler.feed(chunk)
                emit(chunk)
                # Chunks that came in one packet would all be read before the first goes out.
                await asyncio.sleep(0)
        return assembler.completion()

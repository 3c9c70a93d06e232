"""What is wanted of a target, whichever it is: a chat's answer, or what comes in one piece.

A wish knows how one provider is asked once; who is asked, how often and in which order is
`walk`'s. The invariant: once a part of an answer was given on (`begun`), no other answer
may follow it, for the client has begun to read this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sidecar.clock import Clock
from sidecar.domain import Call, ChatRequest, Chunk, Completion, Timeouts
from sidecar.events import FirstToken, Observers
from sidecar.route.table import Target
from sidecar.wire.assemble import Assembler

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)


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


class Wish(Protocol[A_co]):
    """What is wanted."""

    @property
    def begun(self) -> bool:
        """Whether a part of the answer was given on."""
        ...

    @property
    def tells_health(self) -> bool:
        """Whether what comes of it says how the target fares."""
        ...

    async def of(self, provider: Provider, target: Target, well: Callable[[], None]) -> A_co:
        """Ask once. Fails as a `Provider` does. `well` is told of a part that came early."""
        ...


@dataclass(frozen=True, slots=True)
class Whole(Generic[A]):
    """Something in one piece; `ask` asks one provider for it, with the name of its model.

    `tells_health` is False for what a target may fail at and answer chats all the same.
    """

    ask: Callable[[Provider, str], Awaitable[A]]
    tells_health: bool = True

    @property
    def begun(self) -> bool:
        """Never: it is there or it isn't."""
        return False

    async def of(self, provider: Provider, target: Target, well: Callable[[], None]) -> A:
        """Ask once."""
        return await self.ask(provider, target.model)


class Held:
    """A stream's chunks, held back until one has content.

    What comes before it (a role, an id) is no part of an answer, so that another target may
    still give the answer.
    """

    __slots__ = ("_emit", "_kept", "begun")

    def __init__(self, emit: Callable[[Chunk], None]) -> None:
        self._emit = emit
        self._kept: list[Chunk] = []
        self.begun = False

    def restart(self) -> None:
        """Another attempt begins; what the last one opened with is forgotten."""
        self._kept.clear()

    def take(self, chunk: Chunk) -> bool:
        """Give it on, or keep it; whether anything was given on so far."""
        if self.begun:
            self._emit(chunk)
            return True
        self._kept.append(chunk)
        if any(delta.has_content for delta in chunk.deltas):
            self.release()
        return self.begun

    def release(self) -> None:
        """Give on what was kept: content has come, or the stream's regular end."""
        self.begun = True
        for chunk in self._kept:
            self._emit(chunk)
        self._kept.clear()


class Chat:
    """An answer to a call, whole or as it comes: then its chunks go to `emit`."""

    tells_health = True

    __slots__ = ("_call", "_clock", "_held", "_observers", "_timeouts")

    def __init__(
        self,
        call: Call,
        timeouts: Timeouts,
        emit: Callable[[Chunk], None],
        clock: Clock,
        observers: Observers,
    ) -> None:
        self._call = call
        self._timeouts = timeouts
        self._held = Held(emit)
        self._clock = clock
        self._observers = observers

    @property
    def begun(self) -> bool:
        """Whether content was given on."""
        return self._held.begun

    async def of(self, provider: Provider, target: Target, well: Callable[[], None]) -> Completion:
        """Ask once."""
        began, key = self._clock.tick(), self._call.client_key
        request, timeouts, model = self._call.request, self._timeouts, target.model
        if not request.stream:
            return await provider.complete(request, model, timeouts, client_key=key)
        stream = provider.stream(request, model, timeouts, client_key=key)
        # Closed by hand, so that a cancelled call lets go of its connection at once.
        async with aclosing(stream) as chunks:
            return await self._follow(chunks, target, began, well)

    async def _follow(
        self,
        chunks: AsyncGenerator[Chunk, None],
        target: Target,
        began: float,
        well: Callable[[], None],
    ) -> Completion:
        assembler, held = Assembler(), self._held
        held.restart()
        async for chunk in chunks:
            assembler.feed(chunk)
            had_begun = held.begun
            if not held.take(chunk):
                continue
            if not had_begun:
                seconds = self._clock.tick() - began
                self._observers.tell(FirstToken(target.provider, target.model, seconds))
                well()
            # Chunks that came in one packet would all be read before the first goes out.
            await asyncio.sleep(0)
        held.release()
        return assembler.completion()

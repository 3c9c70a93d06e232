"""What is wanted of a target, whichever it is: a chat's answer, or what comes in one piece.

A wish knows how one provider is asked once; who is asked, how often and in which order is
`walk`'s. The invariant: once a part of an answer was given on (`begun`), no other answer
may follow it, for the client has begun to read this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

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


class Paid(NamedTuple):
    """What an attempt has cost: None where no price is known, a bound where `estimated`."""

    nano: int | None = 0
    estimated: bool = False


FREE = Paid()


class Bill(Protocol):
    """Of one attempt."""

    @property
    def request(self) -> ChatRequest:
        """What is to be sent: a budget may need a cap on it."""
        ...

    def emitted(self, chunk: Chunk) -> None:
        """A part of a stream has come."""
        ...

    def answered(self, completion: Completion) -> None:
        """The whole answer has come."""
        ...


class Till(Protocol):
    """Where the attempts of one call are paid, each before it is sent."""

    def attempt(self, target: Target, request: ChatRequest) -> AbstractAsyncContextManager[Bill]:
        """Hold what an attempt may cost; leaving charges what it did. `BudgetError` where it
        may not be made.
        """
        ...

    @property
    def paid(self) -> Paid:
        """What the last attempt has cost."""
        ...


class _OpenBill(NamedTuple):
    """Of an attempt that nobody counts."""

    request: ChatRequest

    def emitted(self, chunk: Chunk) -> None:
        """Nothing is noted."""

    def answered(self, completion: Completion) -> None:
        """Nothing is noted."""


class NoTill:
    """Where nothing is paid."""

    @property
    def paid(self) -> Paid:
        """Nothing."""
        return FREE

    @asynccontextmanager
    async def attempt(self, target: Target, request: ChatRequest) -> AsyncIterator[Bill]:
        """Whatever it costs."""
        yield _OpenBill(request)


NO_TILL = NoTill()


class Pays(Protocol):
    """What knows the cost of the last attempt."""

    @property
    def paid(self) -> Paid:
        """What it has cost."""
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

    @property
    def paid(self) -> Paid:
        """What the last attempt has cost."""
        ...

    async def of(self, provider: Provider, target: Target, well: Callable[[], None]) -> A_co:
        """Ask once. Fails as a `Provider` does, or with a `BudgetError` where it may not be
        asked. `well` is told of a part that came early.
        """
        ...


@dataclass(frozen=True, slots=True)
class Whole(Generic[A]):
    """Something in one piece; `ask` asks one provider for it, and pays at `till`.

    `tells_health` is False for what a target may fail at and answer chats all the same.
    """

    ask: Callable[[Provider, Target], Awaitable[A]]
    tells_health: bool = True
    till: Pays = NO_TILL

    @property
    def paid(self) -> Paid:
        """What the last attempt has cost."""
        return self.till.paid

    @property
    def begun(self) -> bool:
        """Never: it is there or it isn't."""
        return False

    async def of(self, provider: Provider, target: Target, well: Callable[[], None]) -> A:
        """Ask once."""
        return await self.ask(provider, target)


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

    __slots__ = ("_call", "_clock", "_held", "_observers", "_till", "_timeouts")

    def __init__(  # noqa: PLR0913 - a call, where its answer goes, and who is told
        self,
        call: Call,
        timeouts: Timeouts,
        emit: Callable[[Chunk], None],
        clock: Clock,
        observers: Observers,
        *,
        till: Till,
    ) -> None:
        self._till = till
        self._call = call
        self._timeouts = timeouts
        self._held = Held(emit)
        self._clock = clock
        self._observers = observers

    @property
    def begun(self) -> bool:
        """Whether content was given on."""
        return self._held.begun

    @property
    def paid(self) -> Paid:
        """What the last attempt has cost."""
        return self._till.paid

    async def of(self, provider: Provider, target: Target, well: Callable[[], None]) -> Completion:
        """Ask once."""
        async with self._till.attempt(target, self._call.request) as bill:
            completion = await self._ask(provider, target, bill, well)
            bill.answered(completion)
        return completion

    async def _ask(
        self, provider: Provider, target: Target, bill: Bill, well: Callable[[], None]
    ) -> Completion:
        request, key = bill.request, self._call.client_key
        if not request.stream:
            return await provider.complete(request, target.model, self._timeouts, client_key=key)
        stream = provider.stream(request, target.model, self._timeouts, client_key=key)
        # Closed by hand, so that a cancelled call lets go of its connection at once.
        async with aclosing(stream) as chunks:
            return await self._follow(chunks, target, bill, well)

    async def _follow(
        self,
        chunks: AsyncGenerator[Chunk, None],
        target: Target,
        bill: Bill,
        well: Callable[[], None],
    ) -> Completion:
        assembler, held, began = Assembler(), self._held, self._clock.tick()
        held.restart()
        async for chunk in chunks:
            bill.emitted(chunk)
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

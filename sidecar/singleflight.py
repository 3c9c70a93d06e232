"""One flight per key: callers who want the same thing at the same time get it once.

A flight is a task of its own, so it belongs to the group and not to its first caller:
whoever leaves, the others go on; when the last one leaves, the work is cancelled. It
carries events (the chunks of a stream) and a result; a passenger who joins late gets
the events so far, then the live ones. A failed flight gives its error to everyone in
it at once and nobody retries in turn.

The interleaving that a cache must survive, for callers A and B of one key:

    1. A looks into the cache: nothing.
    2. B looks into the cache: nothing; B is then delayed.
    3. A flies, stores the answer, lands. The flight is gone.
    4. B starts a flight of its own.

So the work must look into the cache again once it is in the flight: between 3 and 4
the answer has come. After golang.org/x/sync/singleflight, with events added.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeAlias, TypeVar

from sidecar.errors import DrainingError
from sidecar.tasks import Tasks

E = TypeVar("E")
R = TypeVar("R")


class Flight(Generic[E, R]):
    """Work in progress with any number of passengers. `leader` names who started it, `payer`
    who accounts for it: another passenger where the leader left before the end. `notes` is
    the work's own log, for those who leave before there is a result.
    """

    def __init__(self, leader: str = "") -> None:
        self.leader = leader
        self.payer = leader
        self.notes: list[Any] = []
        self.passengers = 0
        self._events: list[E] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[R] | None = None

    def emit(self, event: E) -> None:
        """Give an event to every passenger, present and future. For the work alone."""
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def launch(self, task: asyncio.Task[R]) -> None:
        """Tie the flight to the task that does its work."""
        self._task = task
        task.add_done_callback(lambda _: self._wake())

    @property
    def has_events(self) -> bool:
        """Whether anything was emitted yet."""
        return bool(self._events)

    @property
    def landed(self) -> bool:
        """Whether the work has ended, well or not."""
        return self._task is not None and self._task.done()

    async def departure(self) -> None:
        """Wait for the first event or the end; raises the work's error if that comes first."""
        while not self._events and not self.landed:
            await self._news.wait()
        if not self._events:
            await self.result()

    async def events(self) -> AsyncGenerator[E, None]:
        """All events from the first; ends with the work, raising its error."""
        seen = 0
        while True:
            while seen < len(self._events):
                yield self._events[seen]
                seen += 1
            if self.landed:
                await self.result()
                return
            await self._news.wait()

    async def result(self) -> R:
        """What the work returns or raises. Being cancelled here leaves the flight alone."""
        if self._task is None:
            raise RuntimeError("the flight was never launched")
        while not self._task.done():
            await self._news.wait()
        if self._task.cancelled():
            raise FlightAbandonedError("this process is about to end; call again")
        return self._task.result()

    async def forsaken(self) -> None:
        """Wait for the end of work that its last passenger has left; else return at once."""
        while not self.passengers and not self.landed:
            await self._news.wait()

    def leaves(self, passenger: str) -> bool:
        """A passenger is about to leave: whether the work is on its account.

        It is on the leader's, unless that leaves while others wait: then it is on that of
        the next one who leaves after the landing, or of the last who leaves before it.
        """
        if self.payer not in ("", passenger):
            return False
        self.payer = passenger if self.landed or self.passengers == 1 else ""
        return bool(self.payer)

    def abandon(self) -> None:
        """Cancel the work."""
        if self._task is not None:
            self._task.cancel()


Work: TypeAlias = Callable[[Flight[E, R]], Coroutine[Any, Any, R]]


class FlightAbandonedError(DrainingError):
    """The flight was cancelled while someone still waited: the process is closing."""


class Flights(Generic[E, R]):
    """The flights under way, by key."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._by_key: dict[bytes, Flight[E, R]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    @contextmanager
    def boarded(
        self, key: bytes | None, work: Work[E, R], *, leader: str = ""
    ) -> Iterator[Flight[E, R]]:
        """Join the flight of `key`, or start one with `work` and be its leader.

        With `key` None the flight is private. Leaving the block leaves the flight; when
        the last passenger leaves before it has landed, the work is cancelled.
        """
        flight = self._by_key.get(key) if key is not None else None
        if flight is None:
            flight = self._start(key, work, leader)
        flight.passengers += 1
        try:
            yield flight
        finally:
            self._leave(key, flight)

    def _start(self, key: bytes | None, work: Work[E, R], leader: str) -> Flight[E, R]:
        flight = Flight[E, R](leader)
        if key is not None:
            self._by_key[key] = flight
        work_of_group = self._fly(key, flight, work)
        flight.launch(self._tasks.start(work_of_group, name="flight", awaited=True))
        return flight

    async def _fly(self, key: bytes | None, flight: Flight[E, R], work: Work[E, R]) -> R:
        try:
            return await work(flight)
        finally:
            self._forget(key, flight)

    def _forget(self, key: bytes | None, flight: Flight[E, R]) -> None:
        if key is not None and self._by_key.get(key) is flight:
            del self._by_key[key]

    def _leave(self, key: bytes | None, flight: Flight[E, R]) -> None:
        flight.passengers -= 1
        if flight.passengers == 0:
            # The key is free at once: who comes now can't board a dying flight.
            self._forget(key, flight)
            flight.abandon()

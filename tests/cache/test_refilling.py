"""Scopes whose vectors left memory: brought back once, and never looking whole before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from sidecar.cache.filling import Loading
from sidecar.cache.no_store import NoStore
from sidecar.cache.reader import VectorChunk
from sidecar.cache.refilling import AT_ONCE, PAUSE_S, STEP_ROWS, Refills
from sidecar.cache.rows import VectorRow
from sidecar.cache.semantic import SemanticTier
from sidecar.cache.slots import Place, Slots
from sidecar.clock import ManualClock
from sidecar.tasks import Tasks
from tests.cache.making import DIMENSION, digest, vector

S = digest("s")


class Held(NoStore):
    """A store that gives a vector for any row, when it is let to."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.let = asyncio.Event()
        self.ok = True

    async def vectors_at(self, rows: Sequence[int]) -> VectorChunk:
        self.asked.append(list(rows))
        await self.let.wait()
        found = [VectorRow(row, digest(row), S, vector(row).tobytes()) for row in rows]
        return VectorChunk(found, [], 0) if self.ok else VectorChunk([], [], 0, ok=False)


class Idle:
    """A scope of which so many vectors are on disk alone, and what brings them back."""

    def __init__(self, tasks: Tasks, count: int) -> None:
        self.store, self.slots, self.semantic = Held(), Slots(), SemanticTier(DIMENSION)
        self.clock = ManualClock()
        on = Loading(self.store, self.slots, self.semantic, self.took, lambda: 0)
        self.refills = Refills(on, tasks, self.clock)
        self.handles: dict[int, int] = {}
        for row in range(1, count + 1):
            self.leave_out(row)

    def took(self, damaged: list[int]) -> None:
        assert damaged == []

    def leave_out(self, row: int, scope: bytes = S) -> None:
        self.semantic.leave_out(self.enlist(row), scope)

    def enlist(self, row: int) -> int:
        slot = self.slots.add(Place(row, digest(row)), 1e12, 10)
        self.handles[row] = self.slots.handle(slot)
        return self.handles[row]

    def put(self, row: int) -> None:
        self.semantic.add(self.enlist(row), S, vector(row))

    def remove(self, row: int) -> None:
        handle = self.handles[row]
        slot = self.slots.from_handle(handle)
        assert slot is not None
        self.semantic.remove(handle)
        self.slots.remove(slot)

    async def begin(self) -> None:
        """Ask for the scope, and leave when it is being read."""
        asking = asyncio.ensure_future(self.refills.wait(S))
        await until(lambda: bool(self.store.asked))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def end(self) -> None:
        """Let it be read, to the end."""
        self.store.let.set()
        await until(lambda: not len(self.refills))

    async def finds(self, row: int) -> bool:
        return bool(await self.semantic.search(S, vector(row), 1, 0.99))


async def until(is_so: Callable[[], bool]) -> None:
    """Let others have the loop until something is so."""
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0)


@asynccontextmanager
async def idle(count: int) -> AsyncIterator[Idle]:
    """Such a scope."""
    tasks = Tasks()
    made = Idle(tasks, count)
    try:
        yield made
    finally:
        await made.refills.close()
        await tasks.close()
        made.semantic.close()


async def test_request_waits_a_moment_only() -> None:
    """While the disk is slow a request goes on, and the refill goes on without it."""
    async with idle(3) as made:
        async with asyncio.timeout(5):
            await made.refills.wait(S)
        assert (len(made.refills), await made.finds(1)) == (1, False)
        await made.end()
        assert (await made.finds(1), made.semantic.is_partial(S)) == (True, False)


async def test_request_gets_what_comes_in_time() -> None:
    """A scope that is read at once is whole when the wait is over."""
    async with idle(3) as made:
        made.store.let.set()
        await made.refills.wait(S)
        assert await made.finds(3)


async def test_two_that_ask_at_once_share_one_refill() -> None:
    """A scope is read once, however many wait for it."""
    async with idle(3) as made:
        asking = [asyncio.ensure_future(made.refills.wait(S)) for _ in range(20)]
        await until(lambda: bool(made.store.asked))
        made.store.let.set()
        await asyncio.gather(*asking)
        assert (made.store.asked, made.refills.done) == ([[1, 2, 3]], 1)


async def test_refill_outlives_who_asked() -> None:
    """When those who waited have left it goes on for those to come."""
    async with idle(3) as made:
        await made.begin()
        await made.end()
        assert await made.finds(2)


async def test_many_refills_are_bounded() -> None:
    """Beyond so many scopes at once, a request goes on without a refill."""
    async with idle(0) as made:
        scopes = [digest(("scope", n)) for n in range(AT_ONCE + 5)]
        for row, scope in enumerate(scopes, start=1):
            made.leave_out(row, scope)
        waiting = [asyncio.ensure_future(made.refills.wait(scope)) for scope in scopes]
        await asyncio.gather(*waiting)
        assert len(made.refills) == AT_ONCE
        await made.end()


async def test_what_was_put_meanwhile_does_not_make_it_whole() -> None:
    """A new vector is found at once, and the older ones are still known to be missing."""
    async with idle(3) as made:
        made.put(9)
        assert (await made.finds(9), made.semantic.is_partial(S)) == (True, True)
        await made.begin()
        assert made.store.asked == [[1, 2, 3]]
        made.put(10)
        await made.end()
        assert [await made.finds(row) for row in (1, 2, 3, 9, 10)] == [True] * 5


async def test_what_left_while_it_was_read_does_not_come_back() -> None:
    """A purge, an eviction or the end of an entry wins over a refill under way."""
    async with idle(3) as made:
        await made.begin()
        made.remove(2)
        await made.end()
        assert [await made.finds(row) for row in (1, 2, 3)] == [True, False, True]
        assert len(made.semantic) == 2


async def test_what_was_replaced_while_it_was_read_keeps_its_own() -> None:
    """The newer vector of a slot isn't overwritten by the older that comes from disk."""
    async with idle(1) as made:
        await made.begin()
        made.remove(1)
        made.put(7)  # in the same slot
        await made.end()
        assert (await made.finds(1), await made.finds(7), len(made.semantic)) == (False, True, 1)


async def test_scope_that_lost_all_while_it_was_read_is_forgotten() -> None:
    """Nothing is kept of a scope without entries, and it is not partial."""
    async with idle(2) as made:
        await made.begin()
        made.remove(1)
        made.remove(2)
        await made.end()
        assert (len(made.semantic), made.semantic.partial_scopes) == (0, 0)
        made.semantic.add(made.enlist(9), digest("other"), vector(9))
        assert made.semantic.evict_idle() is False
        assert made.semantic.partial_scopes == 0


async def test_large_scope_is_read_in_steps() -> None:
    """Everything comes back, also when what stood at the end of a step has left meanwhile."""
    count = 2 * STEP_ROWS + 3
    async with idle(count) as made:
        await made.begin()
        # The step that is under way ends before this one, which then stands further behind.
        made.remove(STEP_ROWS + 1)
        made.put(count + 1)
        await made.end()
        assert not made.semantic.is_partial(S)
        assert len(made.semantic) == count
        assert await made.finds(STEP_ROWS + 2)
        assert not await made.finds(STEP_ROWS + 1)


async def test_what_is_there_is_not_read_again() -> None:
    """A scope that was brought in in part costs only the rest."""
    async with idle(3) as made:
        made.put(4)
        made.store.let.set()
        await made.refills.wait(S)
        made.leave_out(5)
        await made.refills.wait(S)
        assert made.store.asked == [[1, 2, 3], [5]]


async def test_scope_that_can_not_be_read_stays_partial() -> None:
    """A failing disk doesn't make a scope look whole, and isn't asked again for a while."""
    async with idle(2) as made:
        made.store.ok = False
        made.store.let.set()
        await made.refills.wait(S)
        await made.refills.wait(S)
        assert (len(made.store.asked), made.semantic.is_partial(S)) == (1, True)
        made.store.ok = True
        made.clock.advance(PAUSE_S)
        await made.refills.wait(S)
        assert (await made.finds(1), made.refills.done) == (True, 1)


@pytest.mark.parametrize("begun", [True, False])
async def test_scope_whose_refill_was_cancelled_stays_partial(*, begun: bool) -> None:
    """At the end of the process nothing is left held, nor taken for whole."""
    async with idle(2) as made:
        asking = asyncio.ensure_future(made.refills.wait(S))
        if begun:
            await until(lambda: bool(made.store.asked))
        else:
            await asyncio.sleep(0)
        await made.refills.close()
        await asking
        assert (len(made.refills), made.semantic.is_partial(S)) == (0, True)


async def test_scope_that_is_being_read_stays_in_memory() -> None:
    """What comes back isn't sent away again before it is whole."""
    async with idle(2) as made:
        await made.begin()
        made.semantic.add(made.enlist(50), digest("other"), vector(50))
        made.semantic.mark_saved(made.handles[50])
        made.semantic.add(made.enlist(51), digest("last"), vector(51))
        assert [made.semantic.evict_idle() for _ in range(3)] == [True, False, False]
        await made.end()
        assert await made.finds(1)


async def test_scope_that_came_back_may_leave_again() -> None:
    """Once it is whole it is idle like any other, and comes back as often as it is asked for."""
    async with idle(2) as made:
        made.store.let.set()
        made.semantic.add(made.enlist(50), digest("other"), vector(50))
        for turn in range(1, 4):
            await made.refills.wait(S)
            assert (await made.finds(1), made.refills.done) == (True, turn)
            await made.semantic.search(digest("other"), vector(50), 1, 0.0)
            assert made.semantic.evict_idle()
            assert made.semantic.is_partial(S)

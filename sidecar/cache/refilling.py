"""Brings the vectors of a scope back that left memory, when it is asked for by meaning.

One refill a scope at a time, whoever asks; it belongs to nobody, so it goes on when those
who wait have left. A request waits a moment, then goes on with what there is: at worst it
is a miss. What is purged, replaced or evicted meanwhile is left out, as after a start.

A scope is whole again only when every one of its vectors was read. When the disk can't be
read nothing is tried again for a while, and the scope stays partial.
"""

from __future__ import annotations

import asyncio

from sidecar.cache.filling import Loading, take
from sidecar.cache.reader import VectorChunk
from sidecar.cache.slots import slot_in
from sidecar.clock import Clock
from sidecar.tasks import Tasks

WAIT_S = 0.02
PAUSE_S = 5.0
AT_ONCE = 64  # refills under way; beyond them a request goes on at once
STEP_ROWS = 500
NOWHERE = -1 << 32  # a handle that no slot has


class Refills:
    """The refills under way, by scope."""

    def __init__(self, on: Loading, tasks: Tasks, clock: Clock) -> None:
        self._on = on
        self._tasks = tasks
        self._clock = clock
        self._running: dict[bytes, asyncio.Task[bool]] = {}
        self._resume_at = float("-inf")
        self.done = 0

    def __len__(self) -> int:
        return len(self._running)

    async def wait(self, scope: bytes) -> None:
        """Give a scope that is partial a moment to become whole."""
        task = self._running.get(scope) or self._start(scope)
        if task is not None:
            await asyncio.wait([task], timeout=WAIT_S)

    async def close(self) -> None:
        """Bring nothing back any more."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _start(self, scope: bytes) -> asyncio.Task[bool] | None:
        if len(self._running) >= AT_ONCE or self._clock.tick() < self._resume_at:
            return None
        self._on.semantic.hold(scope)
        task = self._running[scope] = self._tasks.start(self._refill(scope), name="cache-refill")
        # Not the work's own: a task that is cancelled before it begins never runs.
        task.add_done_callback(lambda task: self._end(scope, task))
        return task

    def _end(self, scope: bytes, task: asyncio.Task[bool]) -> None:
        del self._running[scope]
        is_whole = not task.cancelled() and task.exception() is None and task.result()
        self._on.semantic.release(scope, is_whole=is_whole)
        self.done += is_whole

    async def _refill(self, scope: bytes) -> bool:
        """Read all that is missing, step by step; whether it could be read."""
        slots, cursor, more = self._on.slots, NOWHERE, True
        while more:
            # What stood here may have left meanwhile; even its slot may be further along in
            # the ring by now. Then begin anew: what is back already is passed over.
            start = slot_in(cursor) if slots.are_live([cursor])[0] else None
            step = [slots.handle(s) for s in self._on.semantic.walk(scope, start, STEP_ROWS + 1)]
            chunk = await self._read(scope, step[:STEP_ROWS])
            if not chunk.ok:
                self._resume_at = self._clock.tick() + PAUSE_S
                return False
            await take(self._on, chunk)
            more = len(step) > STEP_ROWS
            cursor = step[-1] if more else NOWHERE
        return True

    async def _read(self, scope: bytes, handles: list[int]) -> VectorChunk:
        semantic, slots = self._on.semantic, self._on.slots
        rows = [slots.row_of(each) for each in handles if not semantic.has(each, scope)]
        if not rows:
            await asyncio.sleep(0)
            return VectorChunk([], [], 0)
        return await self._on.store.vectors_at(rows)

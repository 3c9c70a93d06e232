"""Brings the stored vectors into the semantic tier after a start, chunk by chunk.

Reading and checking is one thread's work, adding to the index another's; the event loop
only says which rows are still meant, before and after, a few milliseconds at most at a
time. What was purged, replaced or evicted meanwhile is recognised by its place and left out.

Where memory has no room for all, the rest is left on disk, to be brought in scope by scope
when it is asked for: nothing is read only to be evicted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from sidecar.cache.reader import VectorChunk
from sidecar.cache.rows import VectorRow
from sidecar.cache.semantic import SemanticTier
from sidecar.cache.slots import Slots
from sidecar.cache.store import EntryStore

CHUNK_ROWS = 4_000  # the more, the more of one scope are added at once; 6 MB
TURN_ROWS = 500  # handled before others get the loop


class Loading(NamedTuple):
    """What filling stands on. `took` is told the rows that turned out damaged, and may look
    to the caps; `room` says for how many more vectors there is memory.
    """

    store: EntryStore
    slots: Slots
    semantic: SemanticTier
    took: Callable[[list[int]], None]
    room: Callable[[], int]


async def fill(on: Loading, below: int) -> None:
    """Index all stored vectors of rows below a limit, or as many as there is room for."""
    with on.semantic.filling():
        reached = await _fill_from(on, 0, below)
    while reached is not None:
        # Sealed, vectors take half of the memory.
        await on.semantic.compact()
        before, reached = reached, await _fill_from(on, reached, below)
        if reached == before:
            await _leave_out_rest(on, reached, below)
            return


async def _fill_from(on: Loading, after: int, below: int) -> int | None:
    """Fill until memory is full or the disk fails: gives the row that was reached; None when
    all is in.
    """
    chunk = await on.store.vectors(after, below, CHUNK_ROWS)
    while chunk.last != after:
        room = on.room()
        if room < len(chunk.rows):
            await take(on, chunk._replace(rows=chunk.rows[:room]))
            return chunk.rows[room - 1].row if room else after
        after = chunk.last
        # Not at once: the two would fight for the interpreter, and the whole take longer.
        await take(on, chunk)
        chunk = await on.store.vectors(after, below, CHUNK_ROWS)
    return None if chunk.ok else after


async def take(on: Loading, chunk: VectorChunk) -> None:
    """Make the vectors of a chunk searchable, those that are still meant."""
    meant: dict[int, VectorRow] = {}
    for start in range(0, len(chunk.rows), TURN_ROWS):
        rows = chunk.rows[start : start + TURN_ROWS]
        handles = on.slots.handles((row.row, row.key) for row in rows)
        # A model may keep its name and change its dimension: then it is another model.
        fits = (len(row.vector) == 4 * on.semantic.dimension for row in rows)
        meant |= {h: row for h, row, fit in zip(handles, rows, fits, strict=True) if h and fit}
        await asyncio.sleep(0)
    await on.semantic.load(meant, on.slots.are_live)
    on.took(chunk.damaged)


async def _leave_out_rest(on: Loading, after: int, below: int) -> None:
    while owners := await on.store.owners(after, below, TURN_ROWS):
        after = owners[-1].row
        handles = on.slots.handles((owner.row, owner.key) for owner in owners)
        for handle, owner in zip(handles, owners, strict=True):
            if handle is not None:
                on.semantic.leave_out(handle, owner.scope)
        await asyncio.sleep(0)

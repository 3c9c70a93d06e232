"""Moves rows into the sealed segment, a step at a time, while everyone searches.

A step looks at the partition under its lock, works without it for as long as it takes,
and changes the partition under the lock again: there it drops whatever was removed or
replaced meanwhile. Searches and changes wait for the short ends alone.

One step at a time for a partition; whoever calls sees to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from time import sleep

import numpy as np
from numpy.typing import NDArray

from index.approximate import LIST_SAMPLE, Draft, InvertedFile
from index.exact import ExactIndex, View
from index.protocol import Id, Matrix, Rows
from index.sealed import Sealed
from index.segments import Segments

SEGMENTS_AT_ONCE = 2  # 16,384 rows: their ids are entered in one go, 2 ms under the lock
CHUNK_ROWS = 8192
FEWEST_ROWS = 64  # code books can't be made from less
FEWEST_LISTS = 4
WAIT_S, WAITS = 0.001, 1000

Guard = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Batch:
    """Rows on their way into the sealed segment, from exact segments that then go."""

    ids: list[Id]
    matrix: Matrix
    live: Callable[[], NDArray[np.bool_]]  # which are still meant; asked under the lock
    sources: Sequence[ExactIndex] = ()


def step(segments: Segments, guard: Guard, exact_below: int, *, thorough: bool) -> bool:
    """Do one piece of work; False when there is none.

    `thorough` leaves nothing for later: no row outside the sealed segment, no dead row in it.
    """
    sealed = segments.sealed
    if segments.is_small(exact_below):
        return _melt(segments, guard)
    if segments.is_due(exact_below) or (thorough and segments.is_unfinished()):
        return _seal(segments, guard, thorough=thorough)
    if sealed is not None and sealed.is_sparse():
        return _shrink(segments, sealed, guard)
    return False


def _seal(segments: Segments, guard: Guard, *, thorough: bool) -> bool:
    """Take full segments in, leave the dead out, make new lists where the old don't fit."""
    with guard():
        if segments.exact[-1].rows and (thorough or not segments.waiting):
            segments.roll()
        waiting = segments.waiting
        views = [segment.open_view() for segment in waiting]
    try:
        now = slice(SEGMENTS_AT_ONCE)
        batch = _gathered(waiting[now], views[now], segments.dimension)
        if segments.sealed is None and len(batch.ids) < FEWEST_ROWS:
            return False
        later = [view.matrix for view in views[SEGMENTS_AT_ONCE:]]
        reclaims = thorough or segments.is_littered()
        _take_in(segments, guard, batch, later, reclaims=reclaims)
    finally:
        with guard():
            for segment, view in zip(waiting, views, strict=True):
                segment.close_view(view)
    return True


def _gathered(sources: Sequence[ExactIndex], views: Sequence[View], dimension: int) -> Batch:
    """The live rows of full segments."""
    parts = [view.living() for view in views]
    ids = list(chain.from_iterable(part[0] for part in parts))
    matrix = np.concatenate([np.empty((0, dimension), np.float32), *(part[1] for part in parts)])

    def live() -> NDArray[np.bool_]:
        return np.concatenate(
            [np.empty(0, bool)]
            + [segment.holds(part[0]) for segment, part in zip(sources, parts, strict=True)]
        )

    return Batch(ids, matrix, live, sources)


def _take_in(
    segments: Segments, guard: Guard, batch: Batch, later: Sequence[Matrix], *, reclaims: bool
) -> None:
    """Put a batch into the sealed segment, which is made if there is none.

    `later` are rows that come next: new lists are made to fit them too.
    """
    planned = len(segments)
    is_new = segments.must_train()
    sealed = Sealed(segments.dimension) if segments.sealed is None else segments.sealed
    slots = np.empty(0, np.int64)
    try:
        with guard():
            gone = sealed.take_dead() if reclaims or is_new else np.empty(0, np.int64)
            kept = sealed.live_slots() if is_new else np.empty(0, np.int64)
            slots = sealed.take(len(batch.ids))
        draft = (
            _rebuilt(sealed, kept, [batch.matrix, *later], planned)
            if is_new
            else _copied(sealed, gone)
        )
        for part in _parts(len(slots)):
            sealed.rows.fill(slots[part], batch.matrix[part])
            draft.add(slots[part], batch.matrix[part])
    except BaseException:
        with guard():
            sealed.give_back(slots)
        raise
    with guard():
        sealed.publish(draft.finished(), slots, batch.ids, batch.live())
        if is_new:
            sealed.trained_for, sealed.fewest_empty = planned, sealed.file.empty_lists
        sealed.fewest_empty = min(sealed.fewest_empty, sealed.file.empty_lists)
        segments.seal(sealed, batch.sources)
    _outlive_readers(sealed, guard)


def _outlive_readers(sealed: Sealed, guard: Guard) -> None:
    """Free the file of before, as soon as nobody searches it.

    Whoever lets go of it last does the freeing, 20 ms for a million rows: that must be no
    search, and must not be under the lock.
    """
    for _ in range(WAITS):
        with guard():
            unread = sealed.unread_files()
        unread.clear()
        if not sealed.has_former_files():
            return
        sleep(WAIT_S)


def _copied(sealed: Sealed, gone: Rows) -> Draft:
    draft = sealed.file.copy()
    if len(gone):
        draft.remove(gone)
    return draft


def _rebuilt(sealed: Sealed, kept: Rows, new: Sequence[Matrix], planned: int) -> Draft:
    """What is kept, in new lists that fit `planned` rows."""
    lists = _lists(planned)
    total = len(kept) + sum(map(len, new))
    # Evenly over all there is: rows that came together may be of one kind.
    picked = np.linspace(0, total - 1, min(total, lists * LIST_SAMPLE)).astype(np.int64)
    parts = [sealed.rows.decoded(kept[picked[picked < len(kept)]])]
    first = len(kept)
    for matrix in new:
        parts.append(matrix[picked[(picked >= first) & (picked < first + len(matrix))] - first])
        first += len(matrix)
    draft = InvertedFile.trained(np.concatenate(parts), min(lists, total)).copy()
    for part in _parts(len(kept)):
        draft.add(kept[part], sealed.rows.decoded(kept[part]))
    return draft


def _lists(rows: int) -> int:
    """The power of two up to √(12 × rows): 1,024 for 100,000, of 100 rows each."""
    return max(FEWEST_LISTS, 1 << int(math.log2(12 * rows) / 2))


def _shrink(segments: Segments, sealed: Sealed, guard: Guard) -> bool:
    """Empty the last block, so that its memory goes back: free slots lie before it."""
    if sealed.dead:
        _take_in(segments, guard, _gathered((), (), segments.dimension), (), reclaims=True)
        return True
    with guard():
        slots = sealed.movable()
        ids = sealed.rows.ids[slots].tolist()
    if not ids:
        return False  # some are still read
    matrix = sealed.rows.decoded(slots)
    batch = Batch(ids, matrix, lambda: sealed.are_at(ids, slots))
    _take_in(segments, guard, batch, (), reclaims=False)
    return True


def _melt(segments: Segments, guard: Guard) -> bool:
    """So few are left that they are searched exactly again."""
    sealed = segments.sealed
    if sealed is None:
        return False
    with guard():
        slots = sealed.live_slots()
        ids = sealed.rows.ids[slots].tolist()
    matrix = sealed.rows.decoded(slots)
    with guard():
        live = np.flatnonzero(sealed.are_at(ids, slots))
        segments.melt([ids[row] for row in live.tolist()], matrix[live])
    return True


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK_ROWS) for start in range(0, count, CHUNK_ROWS))

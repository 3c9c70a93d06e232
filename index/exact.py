"""A few thousand vectors, searched exactly.

It refuses to check vectors (`index.vectors` has) and to lock (its owner does).
Two invariants:

A similarity depends on the two vectors alone, bit for bit, not on the row it
stands in, on its neighbours or on the size of the partition. `np.vecdot` adds
up each row by itself; a matrix product would block rows together, and spread
over all cores besides.

A row that a view can see is never overwritten. While searches read, removed
rows are only marked; they are reclaimed by a later change that finds no reader.

One query, 384 dimensions, one thread, AVX2, medians of one run: numpy 0.98 ms
for 10,000 rows, FAISS's flat index 1.07 ms; numpy 13 µs for 100 rows. Both wait
for memory, so one query asks numpy alone. Many queries share what was read,
and that only a blocked matrix product does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.matches import ranked
from index.protocol import Id, Match, Matrix, Rows, Scores, Vector

BATCH_FROM_ROWS = 1024  # below it many queries are as cheap one by one
BATCH_FROM_QUERIES = 8
SPARE = 12  # rows listed beyond those asked for, so that a list proves itself
ROW_BYTES = 180  # an id, its place in a list and in a dict: about, beside the vector


class View(NamedTuple):
    """A segment as it stood when a search began: rows (n, dimension), ids, rows to skip."""

    matrix: Matrix
    ids: list[Id]
    dead: tuple[int, ...]

    def living(self) -> tuple[list[Id], Matrix]:
        """The ids and rows that are not dead."""
        if not self.dead:
            return self.ids[: len(self.matrix)], self.matrix
        rows = np.delete(np.arange(len(self.matrix)), self.dead)
        return [self.ids[row] for row in rows.tolist()], self.matrix[rows]

    def nearest(self, query: Vector, k: int, floor: float) -> list[Match]:
        """Up to `k` live rows with similarity ≥ `floor`, best first, ties by id.

        `query` is float32 (dimension,) of unit length. O(n × dimension).
        """
        return self._best(np.vecdot(self.matrix, query), None, k, floor)

    def nearest_many(self, queries: Matrix, k: int, floor: float) -> list[list[Match]]:
        """What `nearest` gives for each row of `queries`, bit for bit.

        A matrix product lists the rows that can matter, `np.vecdot` scores them again.
        """
        count = k + len(self.dead) + SPARE
        if len(queries) < BATCH_FROM_QUERIES or len(self.matrix) < max(BATCH_FROM_ROWS, 4 * count):
            return [self.nearest(query, k, floor) for query in queries]
        from index.approximate import best_rows  # noqa: PLC0415 - small sidecars never pay for it

        listed, scores = best_rows(self.matrix, queries, count)
        # Two float32 sums of n products of unit vectors differ by at most
        # 2 × n × 2^-24 (Higham, Accuracy and Stability, 3.1). At least k live
        # rows score `kth - slack`, and none left out `last + slack`. Where
        # many rows are equal the list proves nothing, and all are looked at.
        slack = queries.shape[1] * float(np.finfo(np.float32).eps)
        proven = scores[:, -1] + slack < np.maximum(floor, scores[:, -1 - SPARE] - slack)
        return [
            self._best(np.vecdot(self.matrix[rows], query), rows, k, floor)
            if is_proven
            else self.nearest(query, k, floor)
            for query, rows, is_proven in zip(queries, listed, proven.tolist(), strict=True)
        ]

    def _best(self, scores: Scores, rows: Rows | None, k: int, floor: float) -> list[Match]:
        """The best of `rows`, which is all of them for None, with their scores."""
        if floor <= -1.0:
            floor = -math.inf  # rounding takes opposite vectors a little below -1
        passing = (scores >= floor).nonzero()[0]
        # numpy rounded the floor to float32, and may have rounded it down.
        passing = passing[scores[passing].astype(np.float64) >= floor]
        scores = scores[passing]
        rows = passing if rows is None else rows[passing]
        if self.dead and len(rows):
            live = ~np.isin(rows, self.dead)
            rows, scores = rows[live], scores[live]
        if len(rows) > k:
            # All that tie with the k-th stay until ids have decided; beyond 1 is rounding.
            kept = scores >= min(1.0, np.partition(scores, -k)[-k])
            rows, scores = rows[kept], scores[kept]
        return ranked([self.ids[row] for row in rows.tolist()], scores.tolist(), k)


class ExactIndex:
    """Vectors in one growing matrix.

    Adding and removing are O(dimension), amortised; searching is
    O(n × dimension). The matrix doubles when full and halves when it is three
    quarters empty. Not locked: one call at a time, except that a `View` may be
    read meanwhile.
    """

    __slots__ = ("_dead", "_ids", "_matrix", "_readers", "_row_of")

    def __init__(self, dimension: int) -> None:
        self._matrix: Matrix = np.empty((0, dimension), np.float32)
        self._ids: list[Id] = []  # by row; a dead row keeps its id for those who read
        self._row_of: dict[Id, int] = {}  # live ids only
        self._dead: list[int] = []
        self._readers = 0  # open views of the present matrix

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, id_: Id) -> bool:
        return id_ in self._row_of

    @property
    def rows(self) -> int:
        """Rows in use, dead ones included."""
        return len(self._ids)

    @property
    def bytes(self) -> int:
        """Memory taken, about. Spare rows were never touched, so they take none."""
        dimension: int = self._matrix.shape[1]
        return len(self._ids) * (4 * dimension + ROW_BYTES)

    def ids(self) -> Iterable[Id]:
        """What is stored now."""
        return self._row_of.keys()

    def holds(self, ids: Sequence[Id]) -> NDArray[np.bool_]:
        """Which of the ids are stored now."""
        return np.fromiter(map(self._row_of.__contains__, ids), bool, len(ids))

    def put(self, ids: Sequence[Id], matrix: Matrix) -> None:
        """Store each row under its id, replacing; ids are distinct, rows are unit float32."""
        # Room first: running out of memory must leave everything as it was.
        self._make_room(len(ids))
        for id_ in ids:
            self._bury(id_)
        first = len(self._ids)
        self._matrix[first : first + len(ids)] = matrix
        self._row_of.update(zip(ids, range(first, first + len(ids)), strict=True))
        self._ids.extend(ids)
        self._reclaim()

    def reserve(self, more: int) -> None:
        """Make room for so many more rows, so that `put` of them asks for no memory."""
        self._make_room(more)

    def remove(self, id_: Id) -> bool:
        """Forget `id_`; False when it was not there. O(dimension): the last row takes its place."""
        found = self._bury(id_)
        self._reclaim()
        return found

    def compact(self) -> None:
        """Give spare and dead rows back; open views keep what they see."""
        if len(self._matrix) > len(self):
            self._move(capacity=len(self))

    def open_view(self) -> View:
        """What is stored now; the rows it sees stay as they are until `close_view`."""
        self._readers += 1
        return View(self._matrix[: len(self._ids)], self._ids, tuple(self._dead))

    def close_view(self, view: View) -> None:
        """Tell that `view` is no longer read."""
        # A view of a matrix that was since replaced holds nothing back.
        if view.ids is self._ids:
            self._readers -= 1

    def _bury(self, id_: Id) -> bool:
        row = self._row_of.pop(id_, None)
        if row is not None:
            self._dead.append(row)
        return row is not None

    def _reclaim(self) -> None:
        if self._readers or not self._dead:
            return
        # From the last row down, so that the row moved into a hole is never dead itself.
        for hole in sorted(self._dead, reverse=True):
            self._fill(hole)
        self._dead = []
        if len(self) * 4 <= len(self._matrix):
            self._move(capacity=len(self) * 2)

    def _fill(self, hole: int) -> None:
        last = len(self._ids) - 1
        moved = self._ids.pop()
        if hole != last:
            self._matrix[hole] = self._matrix[last]
            self._ids[hole] = moved
            self._row_of[moved] = hole

    def _make_room(self, more: int) -> None:
        if len(self._ids) + more > len(self._matrix):
            self._move(capacity=max(len(self) + more, 2 * len(self)))

    def _move(self, capacity: int) -> None:
        """Copy the live rows to a new matrix; whoever reads the old one keeps it alive."""
        matrix = np.empty((capacity, self._matrix.shape[1]), np.float32)
        rows = np.fromiter(self._row_of.values(), np.intp, len(self))
        # With mode="raise" numpy would fill a second copy first.
        np.take(self._matrix, rows, axis=0, out=matrix[: len(rows)], mode="clip")
        self._matrix, self._ids = matrix, list(self._row_of)
        self._row_of = dict(zip(self._ids, range(len(rows)), strict=True))
        self._dead, self._readers = [], 0

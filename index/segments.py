"""One partition: a growing segment, full ones that wait, and a sealed one.

As in a log-structured merge tree (O'Neil et al., 1996), and as Lucene and Qdrant do it:
what comes goes to a small exact segment and is found at once. When that is full, the next
one grows, and whoever compacts moves full ones into the sealed segment. A partition up to
`exact_below` rows is never sealed: its exact segments are all there is.

An id is live in one segment at most, so a search asks each and takes the best of all.
Not locked: its owner is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from index.exact import ExactIndex, View
from index.matches import merged
from index.protocol import Id, Match, Matrix
from index.sealed import Sealed, SealedView

FULL_ROWS = 8192  # so a segment's last doubling moves 6 MB, not hundreds
# Beside a sealed segment a growing one is what a search mostly waits for: 60 µs for 1,024
# rows. Sealing copies the codes of all rows, so the larger, the rarer.
FULL_BESIDE_SEALED = (1024, 4096)
FULL_SHARE = 256
PARTITION_BYTES = 600  # of one without rows, its name and place in a dict included
DEAD_SHARE = 16  # this fraction of the sealed rows may be dead before they are reclaimed
DEAD_LEAST = 512
EMPTIED_LISTS = 8  # looked into in vain: a quarter of what a search looks into
RETRAIN_AT = 2  # times the rows that lists were made for


class SegmentsView(NamedTuple):
    """A partition as it stood when a search began: segments, each with its view."""

    exact: list[tuple[ExactIndex, View]]
    sealed: tuple[Sealed, SealedView] | None

    def nearest_many(self, queries: Matrix, k: int, floor: float) -> list[list[Match]]:
        """For each row of `queries`: up to `k` live rows with similarity ≥ `floor`, best first."""
        parts = [view.nearest_many(queries, k, floor) for _, view in self.exact]
        if self.sealed is not None:
            parts.append(self.sealed[1].nearest_many(queries, k, floor))
        if len(parts) == 1:
            return parts[0]
        return [merged(found, k) for found in zip(*parts, strict=True)] or [[] for _ in queries]

    def close(self) -> None:
        """It is no longer read."""
        for segment, view in self.exact:
            segment.close_view(view)
        if self.sealed is not None:
            self.sealed[0].close_view(self.sealed[1])


class Segments:
    """The segments of one partition."""

    __slots__ = ("dimension", "exact", "sealed")

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.exact = [ExactIndex(dimension)]  # the last one grows
        self.sealed: Sealed | None = None

    def __len__(self) -> int:
        return sum(map(len, self.exact)) + len(self.sealed or ())

    def __contains__(self, id_: Id) -> bool:
        return any(id_ in segment for segment in self.exact) or (
            self.sealed is not None and id_ in self.sealed
        )

    @property
    def bytes(self) -> int:
        """Memory taken, about. O(segments)."""
        exact = sum(segment.bytes for segment in self.exact)
        return PARTITION_BYTES + exact + (self.sealed.bytes if self.sealed is not None else 0)

    @property
    def exact_rows(self) -> int:
        """Rows of exact segments, dead ones included."""
        return sum(segment.rows for segment in self.exact)

    @property
    def waiting(self) -> list[ExactIndex]:
        """The full segments."""
        return self.exact[:-1]

    def put(self, ids: Sequence[Id], matrix: Matrix) -> None:
        """Store rows under distinct ids, replacing."""
        start = 0
        # Room for all of them first: running out of memory must leave everything as it was.
        for segment, count in self._with_room(len(ids)):
            if segment is not self.exact[-1]:
                self.exact.append(segment)
            part = slice(start, start + count)
            if len(self.exact) > 1 or self.sealed is not None:
                for id_ in ids[part]:
                    self._remove_behind(id_)
            segment.put(ids[part], matrix[part])
            start += count

    def _with_room(self, rows: int) -> list[tuple[ExactIndex, int]]:
        """The growing segment and those to come after it, and how many rows go to each."""
        full, segment, found = self._full_rows(), self.exact[-1], []
        while rows:
            if segment.rows >= full:
                segment = ExactIndex(self.dimension)
            count = min(rows, full - segment.rows)
            segment.reserve(count)
            found.append((segment, count))
            rows -= count
            if rows:
                segment = ExactIndex(self.dimension)
        return found

    def remove(self, id_: Id) -> bool:
        """Forget one entry; False when it was not there."""
        return self.exact[-1].remove(id_) or self._remove_behind(id_)

    def _remove_behind(self, id_: Id) -> bool:
        """Forget it in any segment but the growing one."""
        for segment in self.exact[:-1]:
            if id_ in segment:
                segment.remove(id_)
                if not len(segment):  # or those who come and go would leave a long row of them
                    self.exact.remove(segment)
                return True
        return self.sealed is not None and self.sealed.remove(id_)

    def ids(self) -> Iterator[Id]:
        """What is stored now."""
        for segment in self.exact:
            yield from segment.ids()
        if self.sealed is not None:
            yield from self.sealed.ids()

    def trim(self) -> None:
        """Give spare memory of exact segments back."""
        for segment in self.exact:
            segment.compact()

    def roll(self) -> None:
        """The growing segment is full: begin the next one."""
        self.exact.append(ExactIndex(self.dimension))

    def seal(self, sealed: Sealed, taken_in: Sequence[ExactIndex]) -> None:
        """These exact segments are now in `sealed`."""
        self.sealed = sealed
        self.exact = [each for each in self.exact if each not in taken_in]

    def melt(self, ids: Sequence[Id], matrix: Matrix) -> None:
        """These are all that is left of the sealed segment."""
        self.sealed = None
        for start in range(0, len(ids), FULL_ROWS):
            segment = ExactIndex(self.dimension)
            segment.put(ids[start : start + FULL_ROWS], matrix[start : start + FULL_ROWS])
            self.exact.insert(0, segment)

    def open_view(self) -> SegmentsView:
        """What is stored now, until `SegmentsView.close`."""
        sealed = self.sealed
        return SegmentsView(
            [(segment, segment.open_view()) for segment in self.exact if segment.rows],
            None if sealed is None else (sealed, sealed.open_view()),
        )

    def _full_rows(self) -> int:
        if self.sealed is None:
            return FULL_ROWS
        least, most = FULL_BESIDE_SEALED
        return min(most, max(least, len(self.sealed) // FULL_SHARE))

    def needs_work(self, exact_below: int, *, thorough: bool = False) -> bool:
        """Whether there is something to compact. O(segments)."""
        sparse = self.sealed is not None and self.sealed.is_sparse()
        due = self.is_due(exact_below) or (thorough and self.is_unfinished())
        return sparse or due or self.is_small(exact_below)

    def is_due(self, exact_below: int) -> bool:
        """Whether rows wait to be sealed, or dead ones to be reclaimed."""
        if self.sealed is None:
            return len(self) > exact_below
        return len(self.exact) > 1 or self.is_littered() or self.has_emptied_lists()

    def is_small(self, exact_below: int) -> bool:
        """Whether what was sealed is better searched exactly. Half, so that it lasts."""
        return self.sealed is not None and len(self) <= exact_below // 2

    def is_unfinished(self) -> bool:
        """Whether anything is not as compact as it can be."""
        sealed = self.sealed
        return sealed is not None and bool(self.exact_rows or sealed.dead)

    def is_littered(self) -> bool:
        """Whether so many sealed rows are dead that they are worth reclaiming."""
        sealed = self.sealed
        return sealed is not None and sealed.dead > max(DEAD_LEAST, len(sealed) // DEAD_SHARE)

    def has_emptied_lists(self) -> bool:
        """Whether many lists stand empty that held something since they were made."""
        sealed = self.sealed
        return sealed is not None and sealed.file.empty_lists > sealed.fewest_empty + EMPTIED_LISTS

    def must_train(self) -> bool:
        """Whether the lists fit the rows no longer, or there are none."""
        sealed = self.sealed
        return (
            sealed is None
            or len(self) > RETRAIN_AT * sealed.trained_for
            or self.has_emptied_lists()
        )

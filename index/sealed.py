"""A large segment: vectors coded and found through an inverted file.

What is found is scored again from 12-bit codes (`index.quantised`), so a similarity is
right within about 2e-4; which rows are looked at is an estimate (`index.approximate`).

Many versions at once (MVCC), so that a search never waits and sees one moment: every
change moves a clock, a removed row keeps the time of its death, and a view sees rows that
died after it was opened. A view holds the inverted file of its moment; a row's slot is
given out again only when no view is left that is older than the file without it.

Changed by one thread at a time (its owner locks); `take`, `fill` and what makes drafts
belong to whoever compacts, of whom there is one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from operator import eq
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.matches import ranked
from index.protocol import Id, Match, Matrix, Rows, Vector
from index.rows import BLOCK_ROWS, NEVER, RowStore

if TYPE_CHECKING:  # FAISS takes 60 ms and 16 MiB to import: only large partitions pay for it
    from index.approximate import InvertedFile
    from index.estimates import Shortlist

SHORTLIST = 64  # rows scored again, at most, for up to 8 matches
SHORTLIST_EACH = 8  # beyond that, so many for each match asked for
WIDEN = 8  # how much longer a list gets when the dead fill it


class SealedView(NamedTuple):
    """A sealed segment as it stood when a search began."""

    file: InvertedFile
    rows: RowStore
    time: int
    has_dead: bool

    def nearest(self, query: Vector, k: int, floor: float) -> list[Match]:
        """Up to `k` live rows with similarity ≥ `floor`, best first, ties by id."""
        count = max(SHORTLIST, SHORTLIST_EACH * k)
        found = self.file.shortlist(query, count, floor)
        slots = self._living(query, found, count, k, floor) if self.has_dead else found.labels
        if not len(slots):
            return []
        ids, scores = self.rows.similar(slots, query, floor)
        return ranked(ids, scores, k)

    def nearest_many(self, queries: Matrix, k: int, floor: float) -> list[list[Match]]:
        """The same for each row of `queries`, unit float32 (m, dimension)."""
        return [self.nearest(query, k, floor) for query in queries]

    def _living(self, query: Vector, found: Shortlist, count: int, k: int, floor: float) -> Rows:
        """Those of a shortlist that are alive, from a longer list where the dead fill it."""
        slots = found.labels
        live = slots[self.rows.died[slots] > self.time]
        while found.is_cut and len(live) < min(len(slots), max(k, SHORTLIST // 2)):
            count *= WIDEN
            # The lists that are looked at may be full of the dead.
            found = self.file.shortlist(query, count, floor, wide=True)
            slots = found.labels
            live = slots[self.rows.died[slots] > self.time]
        return live


class Sealed:
    """Ids and coded vectors, searched through views."""

    def __init__(self, dimension: int) -> None:
        self.rows = RowStore(dimension)
        self._files: deque[tuple[int, InvertedFile]] = deque()  # since when; the last counts
        self.trained_for = 0  # rows there were when the lists were made
        self.fewest_empty = 0  # lists without a row, when fewest were since then
        self._time = 0
        self._slot_of: dict[Id, int] = {}
        self._dead: list[int] = []  # in the file, but removed
        self._leaving: list[int] = []  # those of them that the next file will not have
        self._retired: deque[tuple[int, list[int]]] = deque()  # when it left the file, which slots
        self._views: dict[int, int] = {}  # open views by their time

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, id_: Id) -> bool:
        return id_ in self._slot_of

    @property
    def dead(self) -> int:
        """Removed rows that still take room in the file."""
        return len(self._dead) + len(self._leaving)

    @property
    def bytes(self) -> int:
        """Memory taken, about."""
        return self.rows.bytes + self.file.bytes

    @property
    def file(self) -> InvertedFile:
        """What is searched, from the first `publish` on."""
        return self._files[-1][1]

    def remove(self, id_: Id) -> bool:
        """Forget `id_` for all views to come; False when it was not there. O(1)."""
        slot = self._slot_of.pop(id_, None)
        if slot is None:
            return False
        self._time += 1
        self._bury(slot)
        return True

    def open_view(self) -> SealedView:
        """What is stored now, until `close_view`."""
        time = self._time
        self._views[time] = self._views.get(time, 0) + 1
        return SealedView(self._files[-1][1], self.rows, time, bool(self._dead or self._leaving))

    def close_view(self, view: SealedView) -> None:
        """Tell that `view` is no longer read."""
        left = self._views[view.time] - 1
        if left:
            self._views[view.time] = left
        else:
            del self._views[view.time]

    def ids(self) -> Iterable[Id]:
        """What is stored now."""
        return self._slot_of.keys()

    def live_slots(self) -> Rows:
        """The slots in use now. O(slots), a millisecond for a million."""
        return self.rows.living()

    def is_sparse(self) -> bool:
        """Whether more than half of the slots are not in use, and it is worth the work."""
        return self.rows.capacity > 2 * (len(self) + BLOCK_ROWS)

    def movable(self) -> Rows:
        """The slots in use of the last block, where as many are free before it."""
        self.take(0)
        first = self.rows.capacity - BLOCK_ROWS
        slots = self.live_slots()
        slots = slots[slots >= first]
        return slots if self.rows.free_before(first) >= len(slots) else slots[:0]

    def are_at(self, ids: Sequence[Id], slots: Rows) -> NDArray[np.bool_]:
        """Which of the ids are still where they were."""
        at = map(self._slot_of.get, ids)
        return np.fromiter(map(eq, at, slots.tolist()), bool, len(ids))

    def unread_files(self) -> list[InvertedFile]:
        """Former files that no view holds any more; they are let go here."""
        oldest = min(self._views, default=NEVER)
        unread = []
        while len(self._files) > 1 and self._files[1][0] <= oldest:
            unread.append(self._files.popleft()[1])
        return unread

    def has_former_files(self) -> bool:
        """Whether a view may still hold one."""
        return len(self._files) > 1

    def take(self, count: int) -> Rows:
        """Slots for rows that are about to be sealed; those that nobody reads any more first."""
        oldest = min(self._views, default=NEVER)
        while self._retired and self._retired[0][0] <= oldest:
            self.rows.give(self._retired.popleft()[1])
        return self.rows.take(count) if count else np.empty(0, np.int64)

    def take_dead(self) -> Rows:
        """The dead to leave out of the next file."""
        self._leaving, self._dead = self._dead, []
        return np.array(self._leaving, np.int64)

    def give_back(self, slots: Rows) -> None:
        """No file could be made: what was taken is not used."""
        self.rows.give(slots.tolist())
        self._dead, self._leaving = self._leaving + self._dead, []

    def publish(
        self, file: InvertedFile, slots: Rows, ids: Sequence[Id], live: NDArray[np.bool_]
    ) -> None:
        """From now on search `file`: `slots` are new in it, and what `take_dead` gave is missing.

        `live` says which of the ids are still meant; the others died while they were sealed.
        What an id held before dies.
        """
        self._time += 1
        self._files.append((self._time, file))
        if not self._slot_of.keys().isdisjoint(ids):
            for id_, lives in zip(ids, live, strict=True):
                if lives and id_ in self._slot_of:
                    self._bury(self._slot_of.pop(id_))
        self.rows.revive(slots, ids)
        self._slot_of.update(zip(ids, slots.tolist(), strict=True))
        for slot in slots[~live].tolist():
            del self._slot_of[self.rows.ids[slot]]
            self._bury(slot)
        if self._leaving:
            self._retired.append((self._time, self._leaving))
            self._leaving = []

    def _bury(self, slot: int) -> None:
        self.rows.died[slot] = self._time
        self._dead.append(slot)

"""The directory of all entries: by key, a slot number, and a few columns by slot.

Every key is here, whether its body is in memory or on disk alone, so that a true miss
never touches disk. Columns are arrays, not objects, because they are paid for each entry:
about 260 bytes in all, ranking included.

Slots are reused, rows are not. So a `Place` or a handle taken earlier is known to be
stale by its row: it never leads to the entry that took the slot afterwards.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

_NO_ROW = 0  # rows count from 1
_SLOT_BITS = 32
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_SIZE_MAX = (1 << 32) - 1


def slot_in(handle: int) -> int:
    """The slot that a handle names; who keeps what there now is another question."""
    return handle & _SLOT_MASK


class Place(NamedTuple):
    """Where an entry is kept: its row in the store, and its key."""

    row: int
    key: bytes


class Listed(NamedTuple):
    """What the exact tier keeps in memory of an entry on disk."""

    row: int
    key: bytes
    expires_at: float
    value: float
    size: int

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.row, self.key)


class Slots:
    """Key → slot, and what is known of each slot. One thread at a time."""

    def __init__(self) -> None:
        self._slot_of: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._rows = array("q")
        self._expires = array("d")
        self._sizes = array("I")
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, key: bytes) -> bool:
        return key in self._slot_of

    def find(self, key: bytes) -> int | None:
        """The slot of a key."""
        return self._slot_of.get(key)

    def add(self, place: Place, expires_at: float, size: int) -> int:
        """Give a new key a slot; `size` is its bytes on disk."""
        slot = self._free.pop() if self._free else self._grow()
        self._slot_of[place.key] = slot
        self._keys[slot] = place.key
        self._rows[slot] = place.row
        self._expires[slot] = expires_at
        self._sizes[slot] = min(size, _SIZE_MAX)
        return slot

    def can_extend(self, listed: Sequence[Listed]) -> bool:
        """Whether `add_many` may take these: all keys are new, and no slot is free."""
        keys = {each.key for each in listed}
        return not self._free and len(keys) == len(listed) and keys.isdisjoint(self._slot_of)

    def add_many(self, listed: Sequence[Listed]) -> None:
        """Give new keys the next slots, one after the other; `can_extend` must be true."""
        first = len(self._keys)
        rows, keys, expires, _, sizes = zip(*listed, strict=True)
        self._slot_of.update(zip(keys, range(first, first + len(keys)), strict=True))
        self._keys.extend(keys)
        self._rows.extend(rows)
        self._expires.extend(expires)
        self._sizes.extend(min(size, _SIZE_MAX) for size in sizes)

    def _grow(self) -> int:
        self._keys.append(b"")
        self._rows.append(_NO_ROW)
        self._expires.append(0.0)
        self._sizes.append(0)
        return len(self._keys) - 1

    def remove(self, slot: int) -> None:
        """Free a slot in use."""
        del self._slot_of[self._keys[slot]]
        self._keys[slot] = b""
        self._rows[slot] = _NO_ROW
        # A free slot never looks expired.
        self._expires[slot] = np.inf
        self._free.append(slot)

    def place(self, slot: int) -> Place:
        """What is kept in a slot in use."""
        return Place(self._rows[slot], self._keys[slot])

    def size(self, slot: int) -> int:
        """Its bytes on disk, as told when it was added."""
        return self._sizes[slot]

    def resolve(self, place: Place) -> int | None:
        """The slot that still keeps this, None when it is gone or was replaced."""
        slot = self._slot_of.get(place.key)
        return slot if slot is not None and self._rows[slot] == place.row else None

    def handle(self, slot: int) -> int:
        """A number that stands for what the slot keeps now, and never for what comes later."""
        return self._rows[slot] << _SLOT_BITS | slot

    def handles(self, places: Iterable[tuple[int, bytes]]) -> list[int | None]:
        """For each row and key the handle; None where they are no longer together."""
        slot_of, rows = self._slot_of.get, self._rows
        return [
            row << _SLOT_BITS | slot
            if (slot := slot_of(key)) is not None and rows[slot] == row
            else None
            for row, key in places
        ]

    def row_of(self, handle: int) -> int:
        """The row that a handle stands for."""
        return handle >> _SLOT_BITS

    def are_live(self, handles: Iterable[int]) -> list[bool]:
        """For each whether its slot still keeps what the handle stood for."""
        rows = self._rows
        return [rows[handle & _SLOT_MASK] == handle >> _SLOT_BITS for handle in handles]

    def from_handle(self, handle: int) -> int | None:
        """The slot, where it still keeps what the handle stood for."""
        slot = handle & _SLOT_MASK
        return slot if self._rows[slot] == self.row_of(handle) else None

    def is_expired(self, slot: int, now: float) -> bool:
        """Whether its time is over."""
        return self._expires[slot] <= now

    def expired(self, now: float) -> list[int]:
        """All slots whose time is over. O(slots), 0.5 ns each."""
        # The view must not outlive this line: an array with a view cannot grow.
        return [int(slot) for slot in np.flatnonzero(np.frombuffer(self._expires) <= now)]

    def find_row(self, row: int) -> int | None:
        """The slot that keeps a row. O(slots)."""
        slots = np.flatnonzero(np.frombuffer(self._rows, dtype=np.int64) == row)
        return int(slots[0]) if len(slots) else None

    def items(self) -> Iterable[tuple[bytes, int]]:
        """Every key with its slot."""
        return self._slot_of.items()

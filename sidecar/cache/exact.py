"""The exact tier: every key in memory, the entries used lately whole, the rest by place.

It answers "which entry has this key" from memory, or says where on disk it is. It does
not read the disk, and it decides what goes first when the cache is full.

Invariant: a key has one slot, a slot in use is ranked, and whatever is whole in memory
has a slot.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.cache.bodies import Bodies
from sidecar.cache.entry import Entry
from sidecar.cache.eviction import Ranking
from sidecar.cache.slots import Listed, Place, Slots

SLOT_BYTES = 280  # measured: key, dict, columns and heap item of one entry


class ExactTier:
    """Entries by key. Runs on the event loop alone, so nothing is locked."""

    def __init__(self) -> None:
        self.slots = Slots()
        self.bodies = Bodies()
        self._ranking = Ranking()

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def memory_bytes(self) -> int:
        """Memory taken, about."""
        return len(self.slots) * SLOT_BYTES + self.bodies.bytes

    def admit(self, row: int, entry: Entry, size: int) -> int:
        """Take in an entry that is not on disk yet; its key must be free. Gives its slot."""
        slot = self._add(Place(row, entry.key), entry.expires_at, entry.value, size)
        self.bodies.hold(entry)
        return slot

    def enlist(self, listed: Listed) -> int:
        """Take in the place of an entry that is on disk; its key must be free."""
        return self._add(listed.place, listed.expires_at, listed.value, listed.size)

    def enlist_many(self, listed: Sequence[Listed]) -> None:
        """Take in many at once, where `Slots.can_extend`: it makes a start short."""
        self.slots.add_many(listed)
        self._ranking.add_many([each.value for each in listed], [each.size for each in listed])

    def _add(self, place: Place, expires_at: float, value: float, size: int) -> int:
        slot = self.slots.add(place, expires_at, size)
        self._ranking.add(slot, value, size)
        return slot

    def used(self, slot: int) -> None:
        """A hit: it is worth keeping longer."""
        self._ranking.touch(slot)

    def remove(self, slot: int) -> Place:
        """Forget what the slot keeps; gives its place, for those who must forget it too."""
        place = self.slots.place(slot)
        self.bodies.remove(place.key)
        self._ranking.remove(slot)
        self.slots.remove(slot)
        return place

    def cheapest(self, spare: int | None = None) -> int | None:
        """The slot to evict next; it must be removed then. None when nothing is left, `spare`
        only when nothing else is.
        """
        return self._ranking.pop_cheapest(spare)

    def mark_saved(self, place: Place) -> int | None:
        """The store has it: its body may leave memory from now on. Gives its slot, None where
        it has left.
        """
        slot = self.slots.resolve(place)
        if slot is not None:
            self.bodies.mark_saved(place.key)
        return slot

"""Puts entries into every tier, or takes them out of every tier: never one alone.

It holds the caps: what is over them goes, cheapest first. Where it is memory, bodies that
are on disk leave it first, then the vectors of idle scopes, and only then entries are
evicted. It refuses to wait: nothing here is async.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from sidecar.cache.commands import Save
from sidecar.cache.entry import Entry, disk_bytes, memory_bytes
from sidecar.cache.eviction import Caps, EvictionReason
from sidecar.cache.exact import ExactTier
from sidecar.cache.semantic import SemanticTier, Vector
from sidecar.cache.slots import Listed, Place
from sidecar.cache.store import EntryStore
from sidecar.events import EntriesEvicted, Observers

LARGEST_SHARE = 8  # no entry takes more than this fraction of a cap
BODIES_SHARE = 8  # this fraction of the memory is left to whole entries


class Shelf:
    """The tiers together. Belongs to the event loop, once it is filled."""

    def __init__(
        self,
        exact: ExactTier,
        semantic: SemanticTier,
        store: EntryStore,
        caps: Caps,
        observers: Observers,
    ) -> None:
        self._exact = exact
        self._semantic = semantic
        self._store = store
        self._caps = caps
        self._observers = observers
        self._next_row = 1
        self.evictions: Counter[str] = Counter()

    @property
    def next_row(self) -> int:
        """The row of the next entry: all there are have lower ones."""
        return self._next_row

    @property
    def memory_bytes(self) -> int:
        """What entries, vectors and bookkeeping take, about."""
        return self._exact.memory_bytes + self._semantic.memory_bytes

    def start_at(self, row: int) -> None:
        """The first row to use."""
        self._next_row = row

    def enlist(self, listed: list[Listed]) -> None:
        """Take in entries that are on disk. Of two with one key the newer counts."""
        if self._exact.slots.can_extend(listed):
            self._exact.enlist_many(listed)
        else:
            for each in listed:
                self._enlist_one(each)

    def _enlist_one(self, listed: Listed) -> None:
        slot = self._exact.slots.find(listed.key)
        if slot is not None:
            older = min(self._exact.slots.place(slot), listed.place)
            self._store.drop(older.row, 0)
            if older == listed.place:
                return
            self._exact.remove(slot)
        self._exact.enlist(listed)

    def put(self, entry: Entry, vector: Vector | None) -> bool:
        """Keep an entry in the place of any other with its key; False where it won't last."""
        raw = None if vector is None else np.ascontiguousarray(vector, dtype=np.float32)
        weight = memory_bytes(entry)
        size = disk_bytes(weight, 0 if raw is None else raw.nbytes)
        if not self._fits(weight, size):
            return False
        replaced = self._exact.slots.find(entry.key)
        replaced_row = None if replaced is None else self._take_off(replaced).row
        place = Place(self._next_row, entry.key)
        self._next_row += 1
        slot = self._exact.admit(place.row, entry, size)
        is_indexed = raw is not None and entry.question and self._index(slot, entry, raw)
        save = Save(
            place.row, entry, raw.tobytes() if raw is not None and is_indexed else None,
            size, replaced_row,
        )  # fmt: skip
        is_queued = self._store.save(save)
        self.enforce_caps(spare=slot)
        return is_queued and self._exact.slots.resolve(place) is not None

    def _fits(self, weight: int, size: int) -> bool:
        caps = self._caps
        return (
            caps.max_entries > 0
            and weight <= caps.max_memory_bytes // LARGEST_SHARE
            and size <= caps.max_disk_bytes // LARGEST_SHARE
        )

    def _index(self, slot: int, entry: Entry, vector: Vector) -> bool:
        return self._semantic.add(self._exact.slots.handle(slot), entry.scope, vector)

    def drop(self, slots: Iterable[int], reason: EvictionReason) -> int:
        """Take entries out of every tier, the disk included; how many."""
        count = 0
        for slot in slots:
            size = self._exact.slots.size(slot)
            self._store.drop(self._take_off(slot).row, size)
            count += 1
        self._tell(reason, count)
        return count

    def hide(self, slots: Iterable[int]) -> None:
        """Let entries no longer be found by meaning; by their keys they still are."""
        for slot in slots:
            self._semantic.remove(self._exact.slots.handle(slot))

    def lose(self, slots: Iterable[int]) -> None:
        """Take out entries that the disk has lost."""
        self._tell(EvictionReason.DAMAGED, len([self._take_off(slot) for slot in slots]))

    def lose_disk(self) -> list[int]:
        """The disk has lost everything: what is whole in memory lives there alone from now on.
        Gives the handles of the rest.
        """
        self._exact.bodies.unsave_all()
        self._semantic.lose_disk()
        slots, bodies = self._exact.slots, self._exact.bodies
        return [slots.handle(slot) for key, slot in slots.items() if key not in bodies]

    def mark_saved(self, places: Sequence[Place]) -> None:
        """These are on disk: they may leave memory, and the disk's real size is known."""
        for place in places:
            slot = self._exact.mark_saved(place)
            if slot is not None:
                self._semantic.mark_saved(self._exact.slots.handle(slot))
        self.enforce_caps()

    def enforce_caps(self, spare: int | None = None) -> None:
        """Let go of what is over a cap, of `spare` last."""
        while self.memory_bytes > self._caps.max_memory_bytes:
            if not (self._demote() or self._semantic.evict_idle()):
                break
        evicted: Counter[EvictionReason] = Counter()
        while reason := self._over():
            slot = self._exact.cheapest(spare)
            if slot is None:
                break
            size = self._exact.slots.size(slot)
            self._store.drop(self._take_off(slot).row, size)
            evicted[reason] += 1
        for reason, count in evicted.items():
            self._tell(reason, count)

    def room(self) -> int:
        """For how many more vectors there is memory, if nothing had to leave it."""
        most = self._caps.max_memory_bytes
        bodies = max(self._exact.bodies.bytes, most // BODIES_SHARE)
        used = self.memory_bytes - self._exact.bodies.bytes + bodies
        return max(0, most - used) // self._semantic.bytes_at_most

    def _demote(self) -> bool:
        """Let a body live on disk alone. Vectors must not crowd out the last of the bodies:
        then every hit would read the disk.
        """
        bodies = self._exact.bodies
        return bodies.bytes > self._caps.max_memory_bytes // BODIES_SHARE and bodies.demote()

    def _over(self) -> EvictionReason | None:
        if len(self._exact) > self._caps.max_entries:
            return EvictionReason.ENTRIES
        # Not all of the memory: spare rows of the index are no reason to lose entries.
        if self._exact.memory_bytes + self._semantic.live_bytes > self._caps.max_memory_bytes:
            return EvictionReason.MEMORY
        return EvictionReason.DISK if self._store.status.is_over else None

    def _take_off(self, slot: int) -> Place:
        self._semantic.remove(self._exact.slots.handle(slot))
        return self._exact.remove(slot)

    def _tell(self, reason: EvictionReason, count: int) -> None:
        if count:
            self.evictions[reason.value] += count
            self._observers.tell(EntriesEvicted(reason.value, count))

"""What goes first when the cache is full: pure bookkeeping over slot numbers.

GreedyDual-Size (Cao & Irani, "Cost-Aware WWW Proxy Caching Algorithms", USENIX 1997) with
frequency (Cherkasova, HPL-98-69R1): an entry's rank is the clock plus its credit times its
uses. Credit is what one hit saves for each byte that the entry takes. A use renews the
rank; the lowest goes, and the clock moves up to the rank it had, so that what is dear but
unused ages too. Two liberties: credits are rounded to powers of two, and the clock also
moves by one with every use, so that among near equals the least recently used goes first
(a difference of one byte would decide otherwise).

The heap holds one integer an entry, rank and slot packed into it. A use does not touch it:
ranks only grow, so a stale item lies too near the top and is put right when it gets there.
Items of removed slots are skipped, and cleared out when they are half of the heap, which
bounds it. `add`, `pop_cheapest`: O(log n) amortised; `touch`, `remove`: O(1).

Refuses to evict: it says which, the owner acts.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import heapify, heappop, heappush
from itertools import count
from operator import add

_SCALE = 1 << 24  # credit of one millisecond a byte; one use is 1
_CREDIT_MAX = 1 << 40  # ranks stay within 63 bits for 2^19 turnovers of the dearest entries
_USES_MAX = 16  # what was popular once must be able to age
_VALUE_MAX = 1e9
_SLOT_BITS = 32
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_NOT_QUEUED = -1


class EvictionReason(StrEnum):
    """Why an entry left the cache."""

    EXPIRED = "expired"
    ENTRIES = "entries"
    MEMORY = "memory"
    DISK = "disk"
    PURGED = "purged"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Caps:
    """How large the cache may grow. Memory counts entries, vectors and bookkeeping."""

    max_entries: int = 100_000
    max_memory_bytes: int = 128 << 20
    max_disk_bytes: int = 1 << 30


def credit(value: float, size: int) -> int:
    """What one hit saves for each byte: a power of two ≥ 1; NaN counts as nothing."""
    saved = min(value, _VALUE_MAX) if value > 0 else 0.0
    # Doubled steps begin at √½ of a power, so that round figures don't stand on an edge.
    exact = 1 + int(saved * _SCALE * 2**0.5 / max(size, 1))
    return min(_CREDIT_MAX, 1 << exact.bit_length() - 1)


class Ranking:
    """Which slot is the cheapest to lose."""

    def __init__(self) -> None:
        self._clock = 0
        self._live = 0
        self._heap: list[int] = []
        # By slot: the rank now, the rank in the heap, the credit, and the uses so far.
        self._ranks = array("q")
        self._queued = array("q")
        self._credits = array("q")
        self._uses = array("B")

    def __len__(self) -> int:
        return self._live

    @property
    def heap_length(self) -> int:
        """Items in the heap, stale ones included: at most 2 × entries + 64."""
        return len(self._heap)

    def add(self, slot: int, value: float, size: int) -> None:
        """Rank a slot that is not ranked yet; `value` and `size` as `credit` takes them."""
        while slot >= len(self._ranks):
            self._ranks.append(0)
            self._queued.append(_NOT_QUEUED)
            self._credits.append(0)
            self._uses.append(0)
        self._credits[slot] = credit(value, size)
        self._uses[slot] = 0
        self._live += 1
        self.touch(slot)
        self._push(slot)

    def add_many(self, values: Sequence[float], sizes: Sequence[int]) -> None:
        """Rank the next slots in a row, none of which was ever used, as `add` would."""
        first = len(self._ranks)
        credits_ = array("q", map(credit, values, sizes))
        ranks = array("q", map(add, credits_, count(self._clock + 1)))
        self._clock += len(ranks)
        self._live += len(ranks)
        self._credits.extend(credits_)
        self._ranks.extend(ranks)
        self._queued.extend(ranks)
        self._uses.frombytes(b"\1" * len(ranks))
        self._heap.extend(rank << _SLOT_BITS | slot for slot, rank in enumerate(ranks, first))
        heapify(self._heap)

    def touch(self, slot: int) -> None:
        """The entry was used."""
        self._clock += 1
        uses = self._uses[slot] = min(self._uses[slot] + 1, _USES_MAX)
        self._ranks[slot] = self._clock + self._credits[slot] * uses

    def remove(self, slot: int) -> None:
        """Rank this slot no longer; nothing happens where it isn't ranked."""
        if slot >= len(self._queued) or self._queued[slot] == _NOT_QUEUED:
            return
        self._queued[slot] = _NOT_QUEUED
        self._live -= 1
        if len(self._heap) > 2 * self._live + 64:
            self._heap = [rank << _SLOT_BITS | slot for slot, rank in self._queued_items()]
            heapify(self._heap)

    def pop_cheapest(self, spare: int | None = None) -> int | None:
        """The slot to lose next, ranked no longer; None where nothing is ranked.

        `spare` is named only when nothing else is left: a newcomer does not make room for
        itself by leaving.
        """
        slot = self._pop()
        if slot is None or slot != spare:
            return slot
        other = self._pop()
        if other is not None:
            self._live += 1
            self._push(slot)
        return slot if other is None else other

    def _pop(self) -> int | None:
        while self._heap:
            item = heappop(self._heap)
            slot, rank = item & _SLOT_MASK, item >> _SLOT_BITS
            if self._queued[slot] != rank:
                continue
            if self._ranks[slot] > rank:
                self._push(slot)
                continue
            self._clock = max(self._clock, rank)
            self._queued[slot] = _NOT_QUEUED
            self._live -= 1
            return slot
        return None

    def _push(self, slot: int) -> None:
        rank = self._queued[slot] = self._ranks[slot]
        heappush(self._heap, rank << _SLOT_BITS | slot)

    def _queued_items(self) -> list[tuple[int, int]]:
        return [(slot, rank) for slot, rank in enumerate(self._queued) if rank != _NOT_QUEUED]

"""Whole entries in memory: those used lately, and those that are nowhere else yet.

A *saved* entry is on disk too, so it can be let go at any time, least recently used
first. An *unsaved* one is held until the store has it, or it is evicted for good.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from sidecar.cache.entry import Entry, memory_bytes


class Bodies:
    """Entries by key, and the bytes they take. One thread at a time."""

    def __init__(self) -> None:
        self._saved: OrderedDict[bytes, Entry] = OrderedDict()
        self._unsaved: dict[bytes, Entry] = {}
        # Weighed once: Python keeps a text's UTF-8 form from when it is first written, so
        # the same entry weighs more later, and the sum would drift below zero.
        self._weights: dict[bytes, int] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._saved) + len(self._unsaved)

    def __contains__(self, key: bytes) -> bool:
        return key in self._saved or key in self._unsaved

    def __iter__(self) -> Iterator[Entry]:
        yield from self._saved.values()
        yield from self._unsaved.values()

    def get(self, key: bytes) -> Entry | None:
        """The entry if it is in memory; that is a use."""
        entry = self._saved.get(key)
        if entry is None:
            return self._unsaved.get(key)
        self._saved.move_to_end(key)
        return entry

    def hold(self, entry: Entry) -> None:
        """Keep an entry that is nowhere else."""
        self.remove(entry.key)
        self._unsaved[entry.key] = entry
        self._weigh(entry)

    def keep(self, entry: Entry) -> None:
        """Keep an entry that came from disk."""
        self.remove(entry.key)
        self._saved[entry.key] = entry
        self._weigh(entry)

    def mark_saved(self, key: bytes) -> None:
        """The store has it now."""
        if entry := self._unsaved.pop(key, None):
            self._saved[key] = entry

    def unsave_all(self) -> None:
        """The store has lost everything."""
        self._unsaved = {**self._saved, **self._unsaved}
        self._saved.clear()

    def remove(self, key: bytes) -> None:
        """Let go of an entry, whatever its state."""
        if self._saved.pop(key, None) or self._unsaved.pop(key, None):
            self.bytes -= self._weights.pop(key)

    def demote(self) -> bool:
        """Let the least recently used saved entry live on disk alone; False if there is none."""
        if not self._saved:
            return False
        key, _ = self._saved.popitem(last=False)
        self.bytes -= self._weights.pop(key)
        return True

    def _weigh(self, entry: Entry) -> None:
        self._weights[entry.key] = weight = memory_bytes(entry)
        self.bytes += weight

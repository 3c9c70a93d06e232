"""The exact cache of embeddings: one vector an item, in memory first, on disk behind it.

A hit moves what the disk has into memory; what leaves memory for want of room is still
on disk. It never fails: what can't be read is a miss. Invariant: what a purge meant is
found no more once the purge has returned, nor is it stored by a request that was under
way (`generation`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

from sidecar.cache.embeddings_store import EmbeddingStore, StoredVector
from sidecar.cache.entry import Selector
from sidecar.clock import Clock

MAX_MEMORY_BYTES = 32 << 20
MAX_DISK_BYTES = 256 << 20


class EmbeddingCache:
    """Use on one event loop only; `path` None keeps nothing on disk."""

    def __init__(
        self,
        path: Path | None,
        clock: Clock,
        *,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
        max_disk_bytes: int = MAX_DISK_BYTES,
    ) -> None:
        self._clock = clock
        self._store = EmbeddingStore(path, max_bytes=max_disk_bytes)
        self._max_bytes = max_memory_bytes
        self._kept: OrderedDict[bytes, StoredVector] = OrderedDict()
        self.memory_bytes = 0
        self.generation = 0
        """Counts purges: what was asked for before one must not be stored after it."""

    def __len__(self) -> int:
        return len(self._kept)

    async def open(self) -> None:
        """Open the disk; a damaged file is set aside."""
        await self._store.open(self._clock.now())

    async def close(self) -> None:
        """Write what waits."""
        await self._store.close()

    async def find(self, keys: Iterable[bytes]) -> dict[bytes, StoredVector]:
        """What is kept under these keys and has not expired; the rest is simply not there."""
        now, generation = self._clock.now(), self.generation
        wanted = dict.fromkeys(keys)
        found = self.in_memory(wanted)
        elsewhere = [key for key in wanted if key not in found]
        if elsewhere:
            for stored in await self._store.find(elsewhere, now):
                # A purge meanwhile may have meant it.
                if generation == self.generation:
                    found[stored.key] = stored
                    self._keep(stored)
        return found

    def in_memory(self, keys: Iterable[bytes]) -> dict[bytes, StoredVector]:
        """What of it can be told at once: all that was put a moment ago, room permitting."""
        now = self._clock.now()
        return {key: kept for key in keys if (kept := self._unexpired(key, now))}

    def put(self, vectors: Sequence[StoredVector], generation: int) -> bool:
        """Keep these, unless something was purged since `generation`."""
        if generation != self.generation or not vectors:
            return False
        for vector in vectors:
            self._keep(vector)
        self._store.put(vectors)
        return True

    async def forget(self, selector: Selector, *, dry_run: bool = False) -> int:
        """Forget all that match, or only count them."""
        if not dry_run:
            self.generation += 1
        meant = {key for key, kept in self._kept.items() if kept.matches(selector)}
        if not dry_run:
            for key in meant:
                self._drop(key)
        return len(meant | await self._store.forget(selector, dry_run=dry_run))

    def _unexpired(self, key: bytes, now: float) -> StoredVector | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.expires_at <= now:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def _keep(self, vector: StoredVector) -> None:
        if vector.key in self._kept:
            self._drop(vector.key)
        self._kept[vector.key] = vector
        self.memory_bytes += vector.size
        while self.memory_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        self.memory_bytes -= self._kept.pop(key).size

"""The semantic tier: which stored questions of one scope are near to this one.

Joins entries to `index`: a partition is a scope's digest, an id is a slot's handle. It
keeps no entries and no text, and it refuses what has no direction (NaN, zeros).

Vectors of scopes that nobody asked for lately may leave memory (`evict_idle`) where the
disk has them; `refilling` brings them back. Which may go is decided here and not by the
index's own cap, because the index can't know what is on disk.

What takes long runs in a thread. What was found or added there may be gone by then: a
handle never leads to another entry, so whoever gets one asks what it stands for now.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from sys import intern
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index import Id, InvalidVectorError, Match, VectorIndex
from sidecar.cache.residency import REFILLED, Residency
from sidecar.cache.rings import Rings
from sidecar.cache.rows import VectorRow
from sidecar.cache.slots import slot_in

Vector = NDArray[np.float32]

TURN_ROWS = 500  # 3 ms of the index's lock, 1 ms of the loop
INLINE_ROWS = 5_000  # searched in about 300 µs, what a hop to a thread costs
SLOT_BYTES = 16
SCOPE_BYTES = 280  # measured: its name, its place in the dicts here
# What a vector takes beside its numbers, each of which takes 4 bytes, or 1¾ once it is sealed:
# rather too little, so that no entry is evicted for what goes by itself.
ROW_BYTES = 180
SEALED_ROW_BYTES = 170
PARTITION_BYTES = 600


class Near(NamedTuple):
    """A handle and its cosine similarity."""

    handle: int
    similarity: float


class SemanticTier:
    """Vectors by handle. Changed on the event loop alone; `index` itself may be searched
    and added to from a thread meanwhile.
    """

    def __init__(self, dimension: int) -> None:
        self._index = VectorIndex(dimension)
        self._rings = Rings()
        self._residency = Residency()
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="cache-search")
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="cache-load")

    def __len__(self) -> int:
        return self._index.stats().entries

    @property
    def dimension(self) -> int:
        """Numbers in one vector."""
        return self._index.dimension

    @property
    def memory_bytes(self) -> int:
        """Memory taken, about."""
        return self._own_bytes + self._index.stats().bytes

    @property
    def live_bytes(self) -> int:
        """What of it goes with the entries: spare and dead rows come and go by themselves."""
        stats, dimension = self._index.stats(), self.dimension
        exact = (stats.entries - stats.sealed) * (4 * dimension + ROW_BYTES)
        sealed = stats.sealed * (7 * dimension // 4 + SEALED_ROW_BYTES)
        live = exact + sealed + stats.partitions * PARTITION_BYTES
        return self._own_bytes + min(stats.bytes, live)

    @property
    def _own_bytes(self) -> int:
        return self._rings.slots * SLOT_BYTES + len(self._rings) * SCOPE_BYTES

    @property
    def bytes_at_most(self) -> int:
        """What one more vector takes in a scope of its own, about."""
        return 4 * self.dimension + ROW_BYTES + PARTITION_BYTES + SCOPE_BYTES + 2 * SLOT_BYTES

    @property
    def partial_scopes(self) -> int:
        """Scopes of which something is on disk alone."""
        return self._residency.partial

    @property
    def evicted_scopes(self) -> int:
        """How often a scope has left memory."""
        return self._residency.evicted

    def add(self, handle: int, scope: bytes, vector: Vector) -> bool:
        """Make a vector searchable in its scope, which stays in memory until `mark_saved`;
        False where it can't be.
        """
        partition = _partition(scope)
        try:
            self._index.add(handle, vector, partition)
        except InvalidVectorError:
            return False
        self._rings.enter(slot_in(handle), partition)
        self._residency.use(partition)
        self._residency.keep(partition, handle)
        return True

    def mark_saved(self, handle: int) -> None:
        """The disk has this vector."""
        if (partition := self._rings.scope_of(slot_in(handle))) is not None:
            self._residency.let_go(partition, handle)

    def lose_disk(self) -> None:
        """What is in memory is nowhere else, and stays."""
        self._residency.keep_all()

    def filling(self) -> AbstractContextManager[None]:
        """Around many loads: the index seals nothing until the end."""
        return self._index.filling()

    async def compact(self) -> None:
        """Have the index take as little memory as it can."""
        await asyncio.get_running_loop().run_in_executor(self._loader, self._index.compact)

    async def load(
        self, rows: Mapping[int, VectorRow], are_live: Callable[[Iterable[int]], list[bool]]
    ) -> None:
        """Make vectors searchable that the disk has, by handle. What is not live afterwards is
        left out.
        """
        loop = asyncio.get_running_loop()
        added = 0
        for partition, handles in await loop.run_in_executor(self._loader, self._add_all, rows):
            self._settle(partition, handles, are_live(handles))
            added += len(handles)
            if added >= TURN_ROWS:
                added = 0
                await asyncio.sleep(0)

    def _settle(self, partition: str, handles: list[int], are_live: list[bool]) -> None:
        for handle, is_live in zip(handles, are_live, strict=True):
            if is_live:
                self._rings.enter(slot_in(handle), partition)
            else:
                self._index.remove(handle, partition)
        if any(are_live):
            self._residency.arrive(partition)

    def _add_all(self, rows: Mapping[int, VectorRow]) -> list[tuple[str, list[int]]]:
        """Add rows scope by scope; gives the handles of each part."""
        by_scope: defaultdict[bytes, list[int]] = defaultdict(list)
        for handle, row in rows.items():
            by_scope[row.scope].append(handle)
        parts = [
            (_partition(scope), handles[start : start + TURN_ROWS])
            for scope, handles in by_scope.items()
            for start in range(0, len(handles), TURN_ROWS)
        ]
        for partition, handles in parts:
            self._add_part(partition, handles, [rows[handle].vector for handle in handles])
        return parts

    def _add_part(self, partition: str, handles: list[int], vectors: list[bytes]) -> None:
        # It was searchable when it was stored, or it would not have been.
        with suppress(InvalidVectorError):
            if len(vectors) == 1:
                vector = np.frombuffer(vectors[0], np.float32)
                self._index.add(handles[0], vector, partition)
            else:
                matrix = np.frombuffer(b"".join(vectors), np.float32)
                self._index.add_many(handles, matrix.reshape(len(vectors), -1), partition)

    def remove(self, handle: int) -> None:
        """Make it found no longer; nothing happens where it has no vector."""
        if (partition := self._rings.leave(slot_in(handle))) is None:
            return
        self._index.remove(handle, partition)
        self._residency.let_go(partition, handle)
        self._forget_if_empty(partition)

    def leave_out(self, handle: int, scope: bytes) -> None:
        """A vector stays on disk: its scope is partial."""
        partition = _partition(scope)
        self._rings.enter(slot_in(handle), partition)
        self._residency.mark_partial(partition)

    def evict_idle(self) -> bool:
        """Let the vectors of one scope leave memory; False where none may."""
        partition = self._residency.evict()
        if partition is None:
            return False
        self._index.drop(partition)
        return True

    def is_partial(self, scope: bytes) -> bool:
        """Whether some of its vectors are on disk alone."""
        return self._residency.partial > 0 and self._residency.is_partial(scope.hex())

    def hold(self, scope: bytes) -> None:
        """Its vectors are being brought back: it must not leave meanwhile."""
        self._residency.use(_partition(scope))
        self._residency.keep(_partition(scope), REFILLED)

    def release(self, scope: bytes, *, is_whole: bool) -> None:
        """They are all back, or can't be read."""
        partition = _partition(scope)
        if is_whole:
            self._residency.mark_whole(partition)
        self._residency.let_go(partition, REFILLED)
        self._forget_if_empty(partition)

    def walk(self, scope: bytes, start: int | None, count: int) -> Iterator[int]:
        """Slots of a scope, see `Rings.walk`."""
        return self._rings.walk(scope.hex(), start, count)

    def has(self, handle: int, scope: bytes) -> bool:
        """Whether this vector is in memory."""
        return self._index.has(handle, scope.hex())

    def _forget_if_empty(self, partition: str) -> None:
        if partition not in self._rings:
            self._residency.forget(partition)

    async def search(self, scope: bytes, vector: Vector, k: int, floor: float) -> list[Near]:
        """Up to `k` with similarity ≥ `floor`, best first; none for a vector without direction."""
        partition = _partition(scope)
        rows = self._index.size(partition)
        if not rows:
            return []
        self._residency.use(partition)
        try:
            if self._is_quick(partition, rows):
                matches = self._index.search(vector, k, floor, partition)
            else:
                matches = await asyncio.get_running_loop().run_in_executor(
                    self._searcher, self._index.search, vector, k, floor, partition
                )
        except InvalidVectorError:
            return []
        return [_near(match) for match in matches]

    def _is_quick(self, partition: str, rows: int) -> bool:
        """Whether a search takes no longer than a hop to a thread.

        A sealed partition takes 200 to 350 µs, unless rows wait beside it to be sealed too:
        those are compared one by one, and there may be a hundred thousand.
        """
        index = self._index
        return rows <= INLINE_ROWS or not (index.is_exact(partition) or index.stats().compacting)

    def close(self) -> None:
        """Forget everything."""
        self._searcher.shutdown(wait=False, cancel_futures=True)
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._index.close()
        self._rings, self._residency = Rings(), Residency()


def _near(match: Match) -> Near:
    id_: Id = match.id
    return Near(int(id_), match.similarity)


def _partition(scope: bytes) -> str:
    # One string a scope, however many entries and however often it is asked for.
    return intern(scope.hex())

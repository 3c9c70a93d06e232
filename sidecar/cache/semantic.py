"""The semantic tier: which stored questions of one scope are near to this one.

Joins entries to `index`: a partition is a scope's digest, an id is a slot's handle. It
keeps no entries and no text, and it refuses what has no direction (NaN, zeros).

A search of a large partition runs in a thread. What it found may be gone by then, so
results are handles, which the caller resolves: a handle never leads to another entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from sys import intern
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index import Id, InvalidVectorError, Match, VectorIndex

Vector = NDArray[np.float32]

INLINE_ROWS = 4_000  # searched in about 300 µs, what a hop to a thread costs
BOOKKEEPING_BYTES = 500  # of one vector in the index, beside its numbers


class Near(NamedTuple):
    """A handle and its cosine similarity."""

    handle: int
    similarity: float


class SemanticTier:
    """Vectors by handle. Changed on the event loop alone; `index` itself may be searched
    from a thread meanwhile.
    """

    def __init__(self, dimension: int) -> None:
        self._index = VectorIndex(dimension)
        self._vector_bytes = 4 * dimension + BOOKKEEPING_BYTES
        self._partition_of: dict[int, str] = {}
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="cache-search")

    def __len__(self) -> int:
        return len(self._partition_of)

    @property
    def dimension(self) -> int:
        """Numbers in one vector."""
        return self._index.dimension

    @property
    def memory_bytes(self) -> int:
        """Memory taken, about."""
        return len(self) * self._vector_bytes

    def add(self, handle: int, scope: bytes, vector: Vector) -> bool:
        """Make a vector searchable in its scope; False where it can't be."""
        partition = _partition(scope)
        try:
            self._index.add(handle, vector, partition)
        except InvalidVectorError:
            return False
        self._partition_of[handle] = partition
        return True

    async def add_many(self, handles: Sequence[int], scope: bytes, vectors: Vector) -> None:
        """Make rows of `vectors` (n, dimension) searchable, all or none of them.

        A large partition may have to move in memory to grow, so a thread does it. Whoever
        asked removes the handles that lost their meaning meanwhile.
        """
        partition = _partition(scope)
        add = partial(self._index.add_many, handles, vectors, partition)
        try:
            if self._index.size(partition) + len(handles) <= INLINE_ROWS:
                add()
            else:
                await asyncio.get_running_loop().run_in_executor(self._searcher, add)
        except InvalidVectorError:
            return
        self._partition_of.update(dict.fromkeys(handles, partition))

    def remove(self, handle: int) -> None:
        """Make it found no longer; nothing happens where it has no vector."""
        if (partition := self._partition_of.pop(handle, None)) is not None:
            self._index.remove(handle, partition)

    async def search(self, scope: bytes, vector: Vector, k: int, floor: float) -> list[Near]:
        """Up to `k` with similarity ≥ `floor`, best first; none for a vector without direction."""
        partition = _partition(scope)
        rows = self._index.size(partition)
        if not rows:
            return []
        try:
            if rows <= INLINE_ROWS:
                matches = self._index.search(vector, k, floor, partition)
            else:
                matches = await asyncio.get_running_loop().run_in_executor(
                    self._searcher, self._index.search, vector, k, floor, partition
                )
        except InvalidVectorError:
            return []
        return [_near(match) for match in matches]

    def close(self) -> None:
        """Forget everything."""
        self._searcher.shutdown(wait=False, cancel_futures=True)
        self._index.close()
        self._partition_of.clear()


def _near(match: Match) -> Near:
    id_: Id = match.id
    return Near(int(id_), match.similarity)


def _partition(scope: bytes) -> str:
    # One string a scope, however many entries and however often it is asked for.
    return intern(scope.hex())

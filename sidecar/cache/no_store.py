"""A cache that lives in memory alone: what leaves memory is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecar.cache.commands import News, Save
from sidecar.cache.entry import Selector
from sidecar.cache.reader import Flaw, Found, Owner, VectorChunk
from sidecar.cache.slots import Listed, Place
from sidecar.cache.store import StoreStatus


class NoStore:
    """The face of a store, without a disk."""

    status = StoreStatus()
    file_bytes = 0

    async def open(self, take: Callable[[list[Listed]], None], hear: Callable[[News], None]) -> int:
        """Nothing is stored, rows count from 1."""
        return 1

    def save(self, save: Save) -> bool:
        """As well kept as anything here."""
        return True

    def drop(self, row: int, size: int) -> None:
        """Nothing to do."""

    async def forget(self, selector: Selector, below: int, *, dry_run: bool) -> list[Place]:
        """Nothing is stored."""
        return []

    async def flush(self) -> bool:
        """Nothing waits."""
        return True

    async def read(self, places: Sequence[Place]) -> list[Found]:
        """Nothing is stored."""
        return [Flaw.MISSING] * len(places)

    async def vectors(self, after: int, below: int, limit: int) -> VectorChunk:
        """Nothing is stored."""
        return VectorChunk([], [], after)

    async def vectors_at(self, rows: Sequence[int]) -> VectorChunk:
        """Nothing is stored."""
        return VectorChunk([], [], 0)

    async def owners(self, after: int, below: int, limit: int) -> list[Owner]:
        """Nothing is stored."""
        return []

    async def close(self) -> None:
        """Nothing to let go of."""

"""All that brings vectors from disk into memory: once after a start, then scope by scope."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sidecar.cache.eviction import EvictionReason
from sidecar.cache.filling import Loading, fill
from sidecar.cache.refilling import Refills
from sidecar.cache.semantic import SemanticTier
from sidecar.cache.shelf import Shelf
from sidecar.cache.slots import Slots
from sidecar.cache.store import EntryStore
from sidecar.clock import Clock
from sidecar.tasks import Tasks


class Loader:
    """The filling and the refills of one cache."""

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        *,
        store: EntryStore,
        slots: Slots,
        semantic: SemanticTier,
        shelf: Shelf,
        tasks: Tasks,
        clock: Clock,
    ) -> None:
        self._slots = slots
        self._semantic = semantic
        self._shelf = shelf
        self._tasks = tasks
        self._on = Loading(store, slots, semantic, self._took, shelf.room)
        self._refills = Refills(self._on, tasks, clock)
        self._filling: asyncio.Task[None] | None = None

    @property
    def is_filling(self) -> bool:
        """Whether vectors are still being read after a start."""
        return self._filling is not None and not self._filling.done()

    @property
    def refilled(self) -> int:
        """How often a scope was brought back."""
        return self._refills.done

    def start(self, below: int) -> None:
        """Begin to bring in the vectors of rows below a limit."""
        self._filling = self._tasks.start(fill(self._on, below), name="cache-fill")

    async def filled(self) -> None:
        """Wait until the vectors that were stored are searchable, or left on disk."""
        if self._filling is not None:
            await asyncio.wait([self._filling])

    async def ready(self, scope: bytes) -> None:
        """Where vectors of this scope have left memory, begin to bring them back and wait a
        moment for them.
        """
        if self._semantic.is_partial(scope):
            await self._refills.wait(scope)

    async def close(self) -> None:
        """Bring in nothing any more."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        await self._refills.close()

    def _took(self, damaged: Iterable[int]) -> None:
        found = map(self._slots.find_row, damaged)
        self._shelf.drop([slot for slot in found if slot is not None], EvictionReason.DAMAGED)
        self._shelf.enforce_caps()

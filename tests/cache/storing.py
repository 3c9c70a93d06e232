"""A store at work, what it tells, and what it is given to save."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sidecar.cache.commands import News, Save
from sidecar.cache.slots import Listed
from sidecar.cache.store import Store
from sidecar.clock import ManualClock
from tests.cache.making import NOW, entry, vector


class Heard:
    """What a store gave when it was opened, and what it told later."""

    def __init__(self) -> None:
        self.listed: list[Listed] = []
        self.news: list[News] = []
        self.first_row = 0


@asynccontextmanager
async def open_store(
    path: Path, *, max_disk_bytes: int = 1 << 30
) -> AsyncIterator[tuple[Store, Heard]]:
    """A store at work."""
    store = Store(path, embedding="mini", max_disk_bytes=max_disk_bytes, clock=ManualClock(NOW))
    heard = Heard()
    heard.first_row = await store.open(heard.listed.extend, heard.news.append)
    try:
        yield store, heard
    finally:
        await store.close()


def save(row: int, **changes: object) -> Save:
    """What is asked of a store to keep the entry of this row."""
    return Save(row, entry(row, **changes), vector(row).tobytes(), 1000)

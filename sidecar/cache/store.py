"""The tier on disk: entries and their vectors in one SQLite file.

One thread writes (`writer`), two read (`reader`), the event loop waits for none.
Durability never depends on a shutdown: what is committed survives a kill at any moment
(WAL, synchronous=NORMAL); a power cut may take the last seconds.

No failure here is raised to a request: reading gives a `Flaw`, writing goes on in memory
and is tried again. Only a place that can't be written to at start is an error
(ConfigError), and a purge that could not be carried out.

Vectors are read by another thread than entries: a hit must not wait behind thousands of
vectors that are being loaded.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from sidecar.cache.commands import Drop, Flush, Forget, News, Save
from sidecar.cache.entry import Selector
from sidecar.cache.reader import Flaw, Found, Owner, Reader, VectorChunk
from sidecar.cache.slots import Listed, Place
from sidecar.cache.writer import Writer
from sidecar.clock import Clock
from sidecar.sqlite_files import file_bytes

T = TypeVar("T")
_log = logging.getLogger(__name__)


class EntryStore(Protocol):
    """What the tiers above ask of a store. All of it belongs to the event loop."""

    @property
    def status(self) -> StoreStatus:
        """How it fares. Cheap."""
        ...

    @property
    def file_bytes(self) -> int:
        """What the files take on disk."""
        ...

    async def open(self, take: Callable[[list[Listed]], None], hear: Callable[[News], None]) -> int:
        """Give all that is stored to `take`, in a thread, and say the first row to use.

        News go to `hear`, on the loop. Raises ConfigError.
        """
        ...

    def save(self, save: Save) -> bool:
        """Queue an entry; False when it will live in memory only."""
        ...

    def drop(self, row: int, size: int) -> None:
        """Queue the end of a row of about `size` bytes."""
        ...

    async def forget(self, selector: Selector, below: int, *, dry_run: bool) -> list[Place]:
        """Find, and unless it is a dry run delete, what matches in rows below a limit.

        All that was queued before counts. Raises SidecarError when it can't be done.
        """
        ...

    async def flush(self) -> bool:
        """Wait until all that is queued is committed; False when the disk refuses."""
        ...

    async def read(self, places: Sequence[Place]) -> list[Found]:
        """The entries at these places."""
        ...

    async def vectors(self, after: int, below: int, limit: int) -> VectorChunk:
        """The next vectors of the model in use; none when all were read."""
        ...

    async def vectors_at(self, rows: Sequence[int]) -> VectorChunk:
        """The vectors of the model in use in these rows."""
        ...

    async def owners(self, after: int, below: int, limit: int) -> list[Owner]:
        """Whose the vectors are that `vectors` would give."""
        ...

    async def close(self) -> None:
        """Commit what is queued and let go of the files."""
        ...


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """`rows_bytes` is what the rows take with the queue counted in, `row_budget` its limit."""

    ok: bool = True
    pending: int = 0
    refused: int = 0
    rows_bytes: int = 0
    row_budget: int = 0

    @property
    def is_over(self) -> bool:
        """Whether something has to go."""
        return self.rows_bytes > self.row_budget


class Store:
    """A store in one SQLite file at `path`, which is made if it isn't there."""

    def __init__(self, path: Path, *, embedding: str, max_disk_bytes: int, clock: Clock) -> None:
        self._path = path.absolute()
        self._embedding = embedding
        self._clock = clock
        self._writer = Writer(
            self._path,
            embedding=embedding,
            max_disk_bytes=max_disk_bytes,
            clock=clock,
            tell=self._tell,
        )
        self._reader = Reader(self._path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cache-read")
        self._vector_reader = Reader(self._path)
        self._vector_thread = ThreadPoolExecutor(1, thread_name_prefix="cache-read-vectors")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hear: Callable[[News], None] | None = None

    @property
    def status(self) -> StoreStatus:
        """How it fares. Cheap."""
        writer = self._writer
        return StoreStatus(
            writer.ok,
            writer.queue.entries,
            writer.refused + writer.queue.refused,
            writer.used_bytes + writer.queue.growth_bytes,
            writer.row_budget,
        )

    @property
    def file_bytes(self) -> int:
        """What the files take on disk."""
        return file_bytes(self._path)

    async def open(self, take: Callable[[list[Listed]], None], hear: Callable[[News], None]) -> int:
        """See EntryStore."""
        self._loop, self._hear = asyncio.get_running_loop(), hear
        return await self._in_thread(self._open, take)

    def _open(self, take: Callable[[list[Listed]], None]) -> int:
        try:
            first = self._list(take)
        except (sqlite3.Error, OSError) as error:
            _log.error("can't read the cache at %s, going on in memory: %s", self._path, error)
            self._writer.start(ok=False)
            # Rows that can't be seen now must not be taken: those numbers are all lower.
            return int(self._clock.now() * 1e6)
        self._writer.start(ok=True)
        return first

    def _list(self, take: Callable[[list[Listed]], None]) -> int:
        self._writer.open()
        try:
            return self._list_file(take)
        except sqlite3.Error as error:
            # Damage beyond the part of the file that is checked when it is opened.
            if not self._writer.start_over(error):
                raise
        self._writer.open()
        return self._list_file(take)

    def _list_file(self, take: Callable[[list[Listed]], None]) -> int:
        for part in self._reader.directory(self._writer.epoch):
            take(part)
        return self._reader.last_row(self._writer.epoch) + 1

    def save(self, save: Save) -> bool:
        """See EntryStore."""
        return self._writer.queue.offer(save) and self._writer.ok

    def drop(self, row: int, size: int) -> None:
        """See EntryStore."""
        self._writer.queue.order(Drop(row, size))

    async def forget(self, selector: Selector, below: int, *, dry_run: bool) -> list[Place]:
        """See EntryStore."""
        command = Forget(selector, below, dry_run)
        self._writer.queue.order(command)
        return await asyncio.wrap_future(command.done)

    async def flush(self) -> bool:
        """See EntryStore."""
        command = Flush()
        self._writer.queue.order(command)
        return await asyncio.wrap_future(command.done)

    async def read(self, places: Sequence[Place]) -> list[Found]:
        """See EntryStore."""
        try:
            return await self._in_thread(self._read, places)
        except RuntimeError:  # the thread has ended: the process is closing
            return [Flaw.UNREADABLE] * len(places)

    def _read(self, places: Sequence[Place]) -> list[Found]:
        return [self._reader.entry(place, self._writer.epoch) for place in places]

    async def vectors(self, after: int, below: int, limit: int) -> VectorChunk:
        """See EntryStore."""
        read = partial(self._vector_reader.vectors, after, below, self._embedding, limit)
        return await self._read_vectors(read, VectorChunk([], [], after, ok=False))

    async def vectors_at(self, rows: Sequence[int]) -> VectorChunk:
        """See EntryStore."""
        read = partial(self._vector_reader.vectors_at, rows, self._embedding)
        return await self._read_vectors(read, VectorChunk([], [], 0, ok=False))

    async def owners(self, after: int, below: int, limit: int) -> list[Owner]:
        """See EntryStore."""
        read = partial(self._vector_reader.owners, after, below, self._embedding, limit)
        return await self._read_vectors(read, [])

    async def _read_vectors(self, read: Callable[[int], T], otherwise: T) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._vector_thread, lambda: read(self._writer.epoch))
        except (sqlite3.Error, RuntimeError) as error:  # RuntimeError: the process is closing
            _log.error("can't read vectors of %s: %s", self._path, error)
            return otherwise

    async def close(self) -> None:
        """See EntryStore."""
        loop = asyncio.get_running_loop()
        with suppress(RuntimeError):  # closed before
            await loop.run_in_executor(self._vector_thread, self._vector_reader.close)
            await self._in_thread(self._close)
        self._vector_thread.shutdown()
        self._thread.shutdown()

    def _close(self) -> None:
        self._writer.close()
        self._reader.close()

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, *arguments)

    def _tell(self, news: News) -> None:
        if self._loop is not None and self._hear is not None:
            with suppress(RuntimeError):  # the loop has ended, and with it the memory
                self._loop.call_soon_threadsafe(self._hear, news)

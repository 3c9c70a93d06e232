"""The one thread that changes the file, committing in groups.

It takes what has gathered in the queue and commits it in one transaction, at once; while
it commits, the next group gathers. The connection belongs to this thread alone.

What fails is tried again, with one line in the log when it begins and one when it ends.
A file that turns out damaged is set aside for a fresh one. A purge that the disk refuses
(it is full, say) deletes the whole file: answers that were ordered gone must not come
back with the next start.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from sidecar.cache import database, statements
from sidecar.cache.commands import Command, FileLost, Flush, Forget, News, Saved
from sidecar.cache.write_queue import WriteQueue
from sidecar.clock import Clock
from sidecar.errors import ConfigError
from sidecar.sqlite_files import is_damage, remove, remove_set_aside, set_aside

_BATCH_BYTES = 2 << 20
_INDEX_BYTES = 32 << 10  # the journal's index
_SHRINK_PAGES = 256
_FAILURES = (sqlite3.Error, OSError, ConfigError)
_log = logging.getLogger(__name__)


class Writer:
    """Owns the writing connection. `tell` is called from its thread."""

    def __init__(
        self,
        path: Path,
        *,
        embedding: str,
        max_disk_bytes: int,
        clock: Clock,
        tell: Callable[[News], None],
    ) -> None:
        self._path = path
        self._embedding = embedding
        self._clock = clock
        self._tell = tell
        # Journal and batch are kept small beside the cap that they count towards.
        self._wal_pages = max(16, min(1000, max_disk_bytes // 8 // database.PAGE_BYTES))
        batch_bytes = max(1, min(_BATCH_BYTES, max_disk_bytes // 16))
        self.queue = WriteQueue(batch_bytes)
        journal_bytes = 2 * self._wal_pages * database.PAGE_BYTES + _INDEX_BYTES
        self.row_budget = max(0, max_disk_bytes - journal_bytes - batch_bytes)
        self._connection: sqlite3.Connection | None = None
        self._thread = Thread(target=self._run, name="cache-writer", daemon=True)
        self.ok = True
        self.refused = 0
        self.used_bytes = 0
        self.epoch = 0  # grows when another file takes the place of the one before

    def open(self) -> None:
        """Open the file; raises as `database.open_writer` does."""
        self._require_connection()

    def start(self, *, ok: bool) -> None:
        """Begin to work; `ok` is False where `open` failed and shall be tried again."""
        self.ok = ok
        self._thread.start()

    def close(self) -> None:
        """Commit what is queued, as far as the disk lets, and end. Blocks."""
        self.queue.close()
        if self._thread.ident is not None:
            self._thread.join()
        self._disconnect()

    # From here on: the thread.

    def _run(self) -> None:
        try:
            while batch := self.queue.take():
                self._attend(batch)
                if self.queue.is_closing and not self.ok:
                    return
        finally:
            self.queue.end()

    def _attend(self, batch: list[Command]) -> None:
        """Carry out a batch; on a fresh file where the old one is in the way."""
        try:
            outcome = self._commit(batch)
        except _FAILURES as error:
            if not self.start_over(error):
                self._fail(error, is_erased=False)
                return
            try:
                outcome = self._commit(batch)
            except _FAILURES as again:
                self._fail(again, is_erased=True)
                return
        self._succeed(batch, outcome)

    def _commit(self, batch: list[Command]) -> statements.Outcome:
        connection = self._require_connection()
        outcome = statements.commit(connection, batch, self._embedding)
        has_erased = any(isinstance(each, Forget) and each.erases for each in batch)
        # It is committed. What fails from here on shows again with the next commit.
        with suppress(sqlite3.Error, OSError):
            self._tidy(connection, has_erased)
        outcome.used_bytes = statements.used_bytes(connection)
        return outcome

    def _require_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = database.open_writer(
                self._path, wal_pages=self._wal_pages, now=self._clock.now()
            )
            self.used_bytes = statements.used_bytes(self._connection)
        return self._connection

    def _tidy(self, connection: sqlite3.Connection, has_erased: bool) -> None:
        """Give back what is free: at once after a purge, else when it is worth the writing."""
        free = statements.free_pages(connection)
        if has_erased:
            statements.shrink(connection, free)
            statements.empty_journal(connection)
            remove_set_aside(self._path)
        elif free > 2 * _SHRINK_PAGES:
            statements.shrink(connection, _SHRINK_PAGES)

    def start_over(self, error: Exception) -> bool:
        """Put a fresh file in the place of one that is damaged or refuses to forget."""
        is_damaged = isinstance(error, sqlite3.Error) and is_damage(error)
        if not is_damaged and not self.queue.has_erasing():
            return False
        self._disconnect()
        try:
            if is_damaged:
                set_aside(self._path, self._clock.now(), str(error))
            else:
                _log.error("the disk refuses a purge (%s): deleting %s", error, self._path)
                remove(self._path)
                remove_set_aside(self._path)
        except OSError:
            return False
        self.epoch += 1
        self._tell(FileLost())
        return True

    def _succeed(self, batch: list[Command], outcome: statements.Outcome) -> None:
        if not self.ok:
            _log.warning("the cache writes to %s again", self._path)
        self.ok = True
        self.refused += outcome.refused
        self.queue.finish(batch)
        self.used_bytes = outcome.used_bytes
        self._tell(Saved(outcome.saved))
        found = iter(outcome.found)
        for command in batch:
            if isinstance(command, Forget):
                command.answer(next(found))
            elif isinstance(command, Flush):
                command.answer(True)

    def _fail(self, error: Exception, *, is_erased: bool) -> None:
        """Go on later. Nobody waits for that: a purge of a file that is gone is done."""
        if self.ok:
            _log.error("can't write the cache at %s, going on in memory: %s", self._path, error)
        self.ok = False
        for command in self.queue.fail():
            if isinstance(command, Flush):
                command.answer(False)
            elif is_erased:
                self.queue.withdraw(command)
                command.answer([])
            else:
                command.refuse(str(error))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

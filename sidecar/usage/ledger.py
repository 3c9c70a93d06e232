"""The ledger of requests: one row each, written in batches off the request path.

An observer: `observe` only appends to a list. A thread of its own writes a batch a few
times a second, so a crash loses at most the last moment's rows; the money of a request
is journalled elsewhere. What can't be written is dropped with a count, never waited for.

Locked: the pending rows, which the event loop adds and the thread takes. The thread alone
writes; readers have a connection of their own, as WAL allows.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from pathlib import Path

from sidecar.clock import Clock
from sidecar.domain import Json
from sidecar.events import Event, RequestRow
from sidecar.sqlite_files import result_code, set_aside
from sidecar.usage import rows
from sidecar.usage.file import connected

BATCH_S = 0.25
MAX_PENDING = 50_000
SWEEP_S = 600.0
# A damaged schema can make Python's binding fail to decode SQLite's own message.
_FAILURES = (sqlite3.Error, OSError, ValueError)
_PASSING = frozenset({
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
})  # fmt: skip
_log = logging.getLogger(__name__)


class RequestLedger:
    """Keeps rows for `retention_s` seconds, at most `max_rows` of them."""

    def __init__(self, path: Path, clock: Clock, *, retention_s: float, max_rows: int) -> None:
        self._path = path
        self._clock = clock
        self._retention_s = retention_s
        self._max_rows = max_rows
        self._lock = threading.Lock()
        self._pending: dict[str, RequestRow] = {}
        self._news = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="request-ledger", daemon=True)
        self._damaged = threading.Event()
        self._swept_at = float("-inf")
        self._anchor: sqlite3.Connection | None = None
        self.dropped = 0
        self.failing = False

    def open(self) -> None:
        """Start writing."""
        self._thread.start()

    def observe(self, event: Event) -> None:
        """Take a row; other events are not its business."""
        if not isinstance(event, RequestRow):
            return
        with self._lock:
            if len(self._pending) >= MAX_PENDING:
                self.dropped += 1
                return
            self._pending[event.id] = event
        if not self._news.is_set():
            self._news.set()

    async def find(self, request_id: str) -> dict[str, Json] | None:
        """The row of a request, as JSON, or None."""
        with self._lock:
            row = self._pending.get(request_id)
        if row is not None:
            return rows.to_record(rows.to_values(row))
        return await asyncio.to_thread(self._read, request_id)

    def _read(self, request_id: str) -> dict[str, Json] | None:
        try:
            with connected(self._path) as connection:
                values = connection.execute(rows.SELECT, (request_id,)).fetchone()
            return rows.to_record(values) if values else None
        except _FAILURES as error:
            self._complain(error)
            return None

    async def close(self) -> None:
        """Write what is pending and stop."""
        self._stop.set()
        self._news.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, 5.0)

    def _run(self) -> None:
        self._check()
        stopping = False
        while not stopping:
            self._news.wait()
            # Read before the batch is taken: the last one holds all that came before `close`.
            stopping = self._stop.wait(BATCH_S)
            self._news.clear()
            self._write_batch()
        self._let_go()

    def _check(self) -> None:
        """Find damage before the first batch, that writing might not meet."""
        try:
            with connected(self._path) as connection:
                verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                connection.execute(rows.SELECT, ("",))
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
        except _FAILURES as error:
            self._complain(error)

    def _write_batch(self) -> None:
        with self._lock:
            batch = dict(self._pending)
        if not batch and not self._damaged.is_set():
            return
        try:
            lost = self._write(list(batch.values()))
            self.failing = False
        except _FAILURES as error:
            lost = len(batch)
            self._complain(error)
        # Taken out only now, so that a row is found at every moment.
        with self._lock:
            self.dropped += lost
            for request_id, row in batch.items():
                if self._pending.get(request_id) is row:
                    del self._pending[request_id]

    def _write(self, batch: list[RequestRow]) -> int:
        """Write the rows; how many of them SQLite can't hold."""
        if self._damaged.is_set():
            self._start_over()
        with connected(self._path) as connection, connection:
            lost = _insert_all(connection, batch)
            self._sweep(connection)
            self._hold()
        return lost

    def _hold(self) -> None:
        """Keep the file open: whoever closes it last has to move the whole journal into it."""
        if self._anchor is None:
            self._anchor = sqlite3.connect(self._path, check_same_thread=False)
            self._anchor.execute(rows.SELECT, ("",)).fetchall()

    def _let_go(self) -> None:
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None

    def _sweep(self, connection: sqlite3.Connection) -> None:
        now = self._clock.now()
        if now - self._swept_at < SWEEP_S:
            return
        self._swept_at = now
        connection.execute("DELETE FROM requests WHERE started_at < ?", (now - self._retention_s,))
        connection.execute(
            "DELETE FROM requests WHERE id IN "
            "(SELECT id FROM requests ORDER BY started_at DESC LIMIT -1 OFFSET ?)",
            (self._max_rows,),
        )

    def _complain(self, error: Exception) -> None:
        """Say it once for each time it begins; requests go on without their rows."""
        if not self.failing:
            self.failing = True
            _log.error("the request ledger can't be used (%s); rows are dropped", error)
        if _is_damage(error):
            self._damaged.set()
            self._news.set()

    def _start_over(self) -> None:
        """Keep the damaged file under another name. The thread's work, for it alone writes."""
        self._let_go()
        set_aside(self._path, self._clock.now(), "the request ledger can't be read")
        self._damaged.clear()


def _is_damage(error: Exception) -> bool:
    """Whether the file itself is at fault: a full disk or a locked file may pass."""
    if isinstance(error, OSError):
        return False
    return result_code(error) not in _PASSING


def _insert_all(connection: sqlite3.Connection, batch: list[RequestRow]) -> int:
    """Write a batch at once; where a row can't be written, one by one without it."""
    try:
        connection.executemany(rows.INSERT, map(rows.to_values, batch))
    except (TypeError, ValueError, OverflowError):
        connection.rollback()
        return sum(not _insert(connection, row) for row in batch)
    return 0


def _insert(connection: sqlite3.Connection, row: RequestRow) -> bool:
    """Write one row; one that can't be written must not cost the others."""
    try:
        connection.execute(rows.INSERT, rows.to_values(row))
    except (TypeError, ValueError, OverflowError):
        return False
    return True

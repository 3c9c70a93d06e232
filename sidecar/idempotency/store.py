"""Where answers are kept: a SQLite file of their own, which outlives the process.

One thread does everything, so that the event loop never waits for the disk, and the file
is not even made before the first key comes. Answers are forgotten after `kept_s` seconds,
and the oldest of them earlier where there are too many or they take too much room.

What can't be looked up must not be taken for new: `get` then raises, and the request is
refused, for its client asked not to be answered twice. What can't be kept is given all
the same, since it has been paid for; the log says so once. A damaged file is set aside.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import orjson

from sidecar.cache.database import set_aside
from sidecar.clock import Clock
from sidecar.errors import IdempotencyUnavailableError
from sidecar.idempotency.recorded import Place, Recorded

KEPT_S = 86_400.0
MAX_ROWS = 100_000
MAX_BYTES = 256 << 20
MAX_ANSWER_BYTES = 8 << 20
VERSION = 1
_EVICTED_AT_ONCE = 64
_SCHEMA = (
    "CREATE TABLE answers (place BLOB PRIMARY KEY, asked BLOB NOT NULL, request_id TEXT NOT NULL, "
    "tenant TEXT NOT NULL, user TEXT NOT NULL, kept_at REAL NOT NULL, size INTEGER NOT NULL, "
    "head BLOB NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX answers_by_time ON answers (kept_at, size)",
    f"PRAGMA user_version = {VERSION}",
)
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "secure_delete = ON",
    "trusted_schema = 0",
)
_FIND = "SELECT asked, request_id, head, body FROM answers WHERE place = ? AND kept_at > ?"
_SIZE = "SELECT size FROM answers WHERE place = ?"
_KEEP = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_WHERE = {"tenant": "tenant = ?", "user": "user = ?", "all": "? = ''"}
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
# A damaged file can hold what is neither text nor JSON.
_FAILURES = (sqlite3.Error, OSError, ValueError)
T = TypeVar("T")
_log = logging.getLogger(__name__)


class AnswerStore:
    """Keeps answers by place. Use on one event loop; `close` it when nobody asks any more."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        kept_s: float = KEPT_S,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._path = path
        self._clock = clock
        self._kept_s = kept_s
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="idempotency")
        self._connection: sqlite3.Connection | None = None
        self._rows = self._bytes = 0
        self.failing = False

    async def get(self, place: Place) -> Recorded | None:
        """What was answered there; `IdempotencyUnavailableError` where that can't be told."""
        try:
            return await self._run(lambda: self._find(place))
        except _FAILURES as error:
            self._complain(error)
            raise IdempotencyUnavailableError(
                "it can't be looked up whether this Idempotency-Key was answered before;"
                " call again, or without the header",
                headers={"retry-after": "1"},
            ) from error

    async def put(self, place: Place, answer: Recorded) -> bool:
        """Keep an answer; False where it can't be kept."""
        if len(answer.body) > MAX_ANSWER_BYTES:
            return False
        try:
            await self._run(lambda: self._keep(place, answer))
        except _FAILURES as error:
            self._complain(error)
            return False
        return True

    async def forget(self, field: str, value: str, *, dry_run: bool) -> int:
        """Forget by tenant, by user, or all; how many matched. By what else nothing is known."""
        if field not in _WHERE or not (self._connection or self._path.exists()):
            return 0
        try:
            return await self._run(lambda: self._forget(_WHERE[field], value, dry_run=dry_run))
        except _FAILURES as error:
            raise IdempotencyUnavailableError(f"{self._path} can't be purged: {error}") from error

    async def close(self) -> None:
        """End the thread, once it has done what was asked."""
        await asyncio.to_thread(self._thread.shutdown)
        self._disconnect()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            future = self._thread.submit(lambda: self._attempt(work))
        except RuntimeError as error:  # it was closed
            raise OSError(str(error)) from error
        return await asyncio.wrap_future(future)

    # From here on: the thread.

    def _attempt(self, work: Callable[[], T]) -> T:
        """Do it; once more on a fresh file where this one is damaged."""
        try:
            done = work()
        except _FAILURES as error:
            self._disconnect()
            if not _is_damage(error):
                raise
            set_aside(self._path, self._clock.now(), str(error))
            done = work()
        self.failing = False
        return done

    def _find(self, place: Place) -> Recorded | None:
        since = self._clock.now() - self._kept_s
        row = self._require().execute(_FIND, (place.digest, since)).fetchone()
        if row is None:
            return None
        asked, request_id, head, body = row
        return Recorded(asked, request_id, orjson.loads(head), body)

    def _keep(self, place: Place, answer: Recorded) -> None:
        connection, head = self._require(), orjson.dumps(dict(answer.head))
        size = len(head) + len(answer.body)
        with connection:
            gone = connection.execute(_SIZE, (place.digest,)).fetchone()
            connection.execute(
                _KEEP,
                (
                    place.digest, answer.asked, answer.request_id, place.tenant, place.user,
                    self._clock.now(), size, head, answer.body,
                ),
            )  # fmt: skip
            rows = self._rows + (gone is None)
            bytes_ = self._bytes + size - (gone[0] if gone else 0)
            self._rows, self._bytes = self._sweep(connection, rows, bytes_)

    def _sweep(self, connection: sqlite3.Connection, rows: int, bytes_: int) -> tuple[int, int]:
        """Forget what is too old or too much; what is left, in rows and bytes at most."""
        since = self._clock.now() - self._kept_s
        while True:
            oldest = connection.execute(
                "SELECT rowid, kept_at, size FROM answers ORDER BY kept_at LIMIT ?",
                (_EVICTED_AT_ONCE,),
            ).fetchall()
            for number, kept_at, size in oldest:
                if kept_at > since and rows <= self._max_rows and bytes_ <= self._max_bytes:
                    return rows, bytes_
                connection.execute("DELETE FROM answers WHERE rowid = ?", (number,))
                rows, bytes_ = rows - 1, bytes_ - size
            if len(oldest) < _EVICTED_AT_ONCE:
                return rows, bytes_

    def _forget(self, where: str, value: str, *, dry_run: bool) -> int:
        connection = self._require()
        count = f"SELECT count(*) FROM answers WHERE {where}"  # noqa: S608  of a table above
        matched = int(connection.execute(count, (value,)).fetchone()[0])
        if not dry_run:
            with connection:
                connection.execute(f"DELETE FROM answers WHERE {where}", (value,))  # noqa: S608
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._count(connection)
        return matched

    def _require(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = _open(self._path)
            try:
                self._count(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _count(self, connection: sqlite3.Connection) -> None:
        counted = connection.execute("SELECT count(*), total(size) FROM answers").fetchone()
        self._rows, self._bytes = counted[0], int(counted[1])

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _complain(self, error: Exception) -> None:
        """Say it once for each time it begins."""
        if not self.failing:
            self.failing = True
            _log.error(
                "answers under an Idempotency-Key can't be kept in %s: %s", self._path, error
            )


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    connection = sqlite3.connect(path, timeout=2.0, check_same_thread=False)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if not version:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.commit()
    elif version != VERSION:
        raise sqlite3.DatabaseError(f"its schema is of version {version}")


def _is_damage(error: Exception) -> bool:
    """Whether the file itself is at fault: a full disk or a locked file may pass."""
    if isinstance(error, OSError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in _DAMAGE

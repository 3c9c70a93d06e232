"""The SQLite file of kept answers. Belongs to one thread; `store` is its face to the rest.

Each row carries a seal over all that is given again: a row that was changed by accident
is no answer, and is dropped. Of a file whose structure is broken, or whose tables are
others, nothing is believed: it raises, and whoever holds it sets it aside.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import orjson

from sidecar.idempotency.recorded import Place, Recorded
from sidecar.sqlite_files import is_damage, make_private, remove_set_aside, set_aside

VERSION = 2
_EVICTED_AT_ONCE = 64
_SCHEMA = (
    "CREATE TABLE answers (place BLOB PRIMARY KEY, asked BLOB NOT NULL, request_id TEXT NOT NULL, "
    "tenant TEXT NOT NULL, user TEXT NOT NULL, kept_at REAL NOT NULL, size INTEGER NOT NULL, "
    "seal BLOB NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX answers_by_time ON answers (kept_at, size)",
)
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "secure_delete = ON",  # what was forgotten is overwritten
    "trusted_schema = 0",
    "cell_size_check = ON",
)
_FIND = "SELECT asked, request_id, head, body, seal FROM answers WHERE place = ? AND kept_at > ?"
_SIZE = "SELECT size FROM answers WHERE place = ?"
_KEEP = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DROP = "DELETE FROM answers WHERE place = ?"
_OLDEST = "SELECT rowid, kept_at, size FROM answers ORDER BY kept_at LIMIT ?"
_WHERE = {"tenant": "tenant = ?", "user": "user = ?", "all": "? = ''"}
FAILURES = (sqlite3.Error, OSError, ValueError)
"""What its methods raise. (A damaged schema can make Python's binding fail to decode
SQLite's own message.)"""
_log = logging.getLogger(__name__)


class ForeignFileError(ValueError):
    """It is a database, but not one of this version."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long answers are kept, how many of them, and how much of the disk they take."""

    kept_s: float
    max_rows: int
    max_bytes: int


def can_forget(field: str) -> bool:
    """Whether answers are known by this field of a purge."""
    return field in _WHERE


class AnswerFile:
    """Opened when it is first needed. Times are Unix seconds."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self.path = path
        self._bounds = bounds
        self._connection: sqlite3.Connection | None = None
        self._rows = self._bytes = 0
        self._is_crowded = False

    @property
    def exists(self) -> bool:
        """Whether anything was ever kept."""
        return self._connection is not None or self.path.exists()

    def find(self, place: Place, now: float) -> Recorded | None:
        """What was answered there."""
        since = now - self._bounds.kept_s
        row = self._require().execute(_FIND, (place.digest, since)).fetchone()
        if row is None:
            return None
        *fields, seal = row
        if seal != _seal(place.digest, *fields):
            self._drop_damaged(place)
            return None
        asked, request_id, head, body = fields
        return Recorded(asked, request_id, orjson.loads(head), body)

    def _drop_damaged(self, place: Place) -> None:
        _log.error("an answer under an Idempotency-Key is damaged on disk, and is forgotten")
        connection = self._require()
        with connection:
            connection.execute(_DROP, (place.digest,))
        self._count(connection)

    def keep(self, place: Place, answer: Recorded, now: float) -> None:
        """Put an answer in the place of any other, and forget what that makes too much."""
        connection, head = self._require(), orjson.dumps(dict(answer.head))
        size = len(head) + len(answer.body)
        seal = _seal(place.digest, answer.asked, answer.request_id, head, answer.body)
        with connection:
            gone = connection.execute(_SIZE, (place.digest,)).fetchone()
            connection.execute(
                _KEEP,
                (
                    place.digest, answer.asked, answer.request_id, place.tenant, place.user,
                    now, size, seal, head, answer.body,
                ),
            )  # fmt: skip
            rows = self._rows + (gone is None)
            bytes_ = self._bytes + size - (gone[0] if gone else 0)
            self._rows, self._bytes = self._sweep(connection, rows, bytes_, now)

    def sweep(self, now: float) -> None:
        """Forget what is too old or too much."""
        connection = self._require()
        with connection:
            left = self._sweep(connection, self._rows, self._bytes, now)
            self._rows, self._bytes = left

    def _sweep(
        self, connection: sqlite3.Connection, rows: int, bytes_: int, now: float
    ) -> tuple[int, int]:
        """The oldest first; what is left, in rows and bytes."""
        bounds = self._bounds
        while True:
            oldest = connection.execute(_OLDEST, (_EVICTED_AT_ONCE,)).fetchall()
            for number, kept_at, size in oldest:
                is_over = kept_at <= now - bounds.kept_s
                if not is_over and rows <= bounds.max_rows and bytes_ <= bounds.max_bytes:
                    return rows, bytes_
                if not is_over:
                    self._tell_crowded()
                connection.execute("DELETE FROM answers WHERE rowid = ?", (number,))
                rows, bytes_ = rows - 1, bytes_ - size
            if len(oldest) < _EVICTED_AT_ONCE:
                return rows, bytes_

    def _tell_crowded(self) -> None:
        if not self._is_crowded:
            self._is_crowded = True
            _log.warning(
                "more answers under an Idempotency-Key than are kept (%d of them, %d bytes):"
                " from now on the oldest are forgotten before %d hours are over",
                self._bounds.max_rows, self._bounds.max_bytes, self._bounds.kept_s // 3600,
            )  # fmt: skip

    def forget(self, field: str, value: str, *, dry_run: bool) -> int:
        """Forget by tenant, by user, or all; how many matched. No byte of them is left."""
        where, connection = _WHERE[field], self._require()
        count = f"SELECT count(*) FROM answers WHERE {where}"  # noqa: S608  of a table above
        matched = int(connection.execute(count, (value,)).fetchone()[0])
        if not dry_run:
            with connection:
                connection.execute(f"DELETE FROM answers WHERE {where}", (value,))  # noqa: S608
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._count(connection)
            remove_set_aside(self.path)
        return matched

    def start_over(self, error: Exception, now: float) -> bool:
        """Close it; where it is damaged, set it aside, so that what comes next finds a new one.

        A full disk, a lock or a bug of ours are no damage: they may pass, and the file is sound.
        """
        self.close()
        if not (is_damage(error) or isinstance(error, ValueError)):
            return False
        set_aside(self.path, now, str(error))
        return True

    def close(self) -> None:
        """Until it is needed again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _require(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _opened(self.path, self._count)
        return self._connection

    def _count(self, connection: sqlite3.Connection) -> None:
        counted = connection.execute("SELECT count(*), total(size) FROM answers").fetchone()
        self._rows, self._bytes = counted[0], int(counted[1])


def _opened(path: Path, check: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    make_private(path)
    connection = sqlite3.connect(path, timeout=2.0, check_same_thread=False)
    try:
        _prepare(connection)
        check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    # Text that is no UTF-8 must break its row's seal, not the statement.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    made = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    tables = tuple(sql for (sql,) in connection.execute(made).fetchall())
    if not tables:
        _create(connection)
        return
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if tables != _SCHEMA or version != VERSION:
        raise ForeignFileError("its tables are not those of this sidecar")


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in (*_SCHEMA, f"PRAGMA user_version = {VERSION}"):
        connection.execute(statement)
    connection.commit()


def _seal(*fields: bytes | str) -> bytes:
    digest = blake2b(digest_size=16)
    for field in fields:
        part = field if isinstance(field, bytes) else field.encode(errors="surrogateescape")
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()

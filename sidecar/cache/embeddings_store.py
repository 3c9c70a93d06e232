"""Vectors of embedding requests in an SQLite file of their own, so that a restart keeps them.

One thread does everything, in the order it was told, so nothing is locked and a purge
comes after every write before it. It refuses to repair: a damaged file is set aside, and
what can't be read or written is a miss, said once. Each row carries a seal over all its
fields: a row that was changed by accident is no vector.

Oldest rows go first when `max_bytes` are passed; bytes are those of the vectors and a
fixed sum for the rest of a row.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import astuple, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from sidecar.cache.entry import Selector
from sidecar.errors import SidecarError
from sidecar.sqlite_files import remove_set_aside, set_aside

VERSION = 1
ROW_BYTES = 300
MOST_WAITING = 1000
"""Batches that wait to be written; on a disk that can't keep up what comes is dropped."""
_SOME = 500  # SQLite takes no more than 999 variables everywhere
_EVICTED_SHARE = 0.1
_FAILURES = (sqlite3.Error, OSError, ValueError)
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = (
    "CREATE TABLE embeddings (key BLOB PRIMARY KEY, vector BLOB NOT NULL, model TEXT NOT NULL, "
    "answered_model TEXT NOT NULL, provider TEXT NOT NULL, tenant TEXT NOT NULL, "
    "user TEXT NOT NULL, tags TEXT NOT NULL, created_at REAL NOT NULL, "
    "expires_at REAL NOT NULL, seal BLOB NOT NULL)",
    "CREATE INDEX embeddings_by_age ON embeddings (created_at)",
)
_INSERT = "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_WHERE = {
    "all": "1",
    "tenant": "tenant = ?1",
    "user": "user = ?1",
    "model": "(model = ?1 OR answered_model = ?1)",
    "tag": "instr(tags, char(10) || ?1 || char(10)) > 0",
}
T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredVector:
    """One item's vector as JSON, and who it belongs to. Times are Unix seconds.

    `tags` are one a line, with a line break before the first and after the last.
    """

    key: bytes
    vector: bytes
    model: str
    answered_model: str
    provider: str
    tenant: str
    user: str
    tags: str
    created_at: float
    expires_at: float

    @property
    def size(self) -> int:
        """About what it takes."""
        return len(self.vector) + ROW_BYTES

    def matches(self, selector: Selector) -> bool:
        """Whether a purge means it."""
        match selector.field:
            case "all":
                return True
            case "tenant" | "user":
                return bool(getattr(self, selector.field) == selector.value)
            case "model":
                return selector.value in (self.model, self.answered_model)
            case "tag":
                return f"\n{selector.value}\n" in self.tags
            case _:
                return False  # vectors come from no prompt, and are no entries


class EmbeddingStore:
    """The file and its thread. `path` None keeps nothing."""

    def __init__(self, path: Path | None, *, max_bytes: int) -> None:
        self._path = path
        self._is_used = path is not None
        self._max_bytes = max_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embeddings")
        self._connection: sqlite3.Connection | None = None
        self._bytes = 0
        self._waiting: deque[Future[None]] = deque()
        self.failing = False
        self.dropped = 0

    async def open(self, now: float) -> None:
        """Open the file, made or set aside where need be."""
        await self._do(lambda: self._open(now), None)

    async def close(self) -> None:
        """Write what waits, and stop; whatever is asked afterwards is a miss."""
        last, self._is_used = self._is_used, False
        if last:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._guarded, self._close, None)
        await asyncio.to_thread(self._thread.shutdown)

    async def find(self, keys: Sequence[bytes], now: float) -> list[StoredVector]:
        """What is kept under these keys and has not expired."""
        nothing: list[StoredVector] = []
        return await self._do(lambda: list(self._read(keys, now)), nothing)

    def put(self, vectors: Sequence[StoredVector]) -> None:
        """Write these when their turn comes; nobody waits for it."""
        if not self._is_used:
            return
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += len(vectors)
            return
        writing = self._thread.submit(self._guarded, lambda: self._write(vectors), None)
        self._waiting.append(writing)

    async def forget(self, selector: Selector, *, dry_run: bool = False) -> set[bytes]:
        """The keys of all that match; they are gone from the disk when this returns.

        `SidecarError` where they may still be there.
        """
        if not self._is_used:
            return set()
        failed: set[bytes] | None = None
        found = await self._do(lambda: self._forget(selector, dry_run), failed)
        if found is None:
            raise SidecarError("the embeddings on disk can't be purged, only memory is")
        return found

    async def _do(self, work: Callable[[], T], otherwise: T) -> T:
        if not self._is_used:
            return otherwise
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._guarded, work, otherwise)

    def _guarded(self, work: Callable[[], T], otherwise: T) -> T:
        """Do it; what fails is said once for each time it begins."""
        try:
            done = work()
            self.failing = False
        except _FAILURES as error:
            if not self.failing:
                self.failing = True
                _log.error("the store of embeddings can't be used (%s)", error)
            self._give_up_damaged(error)
            return otherwise
        return done

    def _give_up_damaged(self, error: Exception) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE and self._path is not None:
            self._close()
            set_aside(self._path, self._path.stat().st_mtime, str(error))

    def _open(self, now: float) -> None:
        try:
            self._require()
        except sqlite3.DatabaseError as error:
            if self._path is None or isinstance(error, sqlite3.OperationalError):
                raise
            self._close()
            set_aside(self._path, now, str(error))
        connection = self._require()
        connection.execute("DELETE FROM embeddings WHERE expires_at <= ?", (now,))
        self._measure(connection)

    def _require(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._path is None:
                raise AssertionError("without a file nothing is asked of it")
            self._connection = _opened(self._path)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _measure(self, connection: sqlite3.Connection) -> None:
        question = f"SELECT coalesce(sum(length(vector) + {ROW_BYTES}), 0) FROM embeddings"  # noqa: S608
        (self._bytes,) = connection.execute(question).fetchone()

    def _read(self, keys: Sequence[bytes], now: float) -> Iterator[StoredVector]:
        connection = self._require()
        for some in _parts(keys):
            marks = ",".join("?" * len(some))
            question = f"SELECT * FROM embeddings WHERE key IN ({marks}) AND expires_at > ?"  # noqa: S608
            for *fields, seal in connection.execute(question, (*some, now)):
                found = StoredVector(*fields)
                if _seal(found) == seal:
                    yield found

    def _write(self, vectors: Sequence[StoredVector]) -> None:
        connection = self._require()
        rows = [(*astuple(vector), _seal(vector)) for vector in vectors]
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_INSERT, rows)
            self._bytes += sum(vector.size for vector in vectors)
            self._evict(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _evict(self, connection: sqlite3.Connection) -> None:
        """Some at once, so that not every write has to. Replaced rows count until then."""
        if self._bytes <= self._max_bytes:
            return
        self._measure(connection)
        while self._bytes > self._max_bytes:
            (count,) = connection.execute("SELECT count(*) FROM embeddings").fetchone()
            connection.execute(
                "DELETE FROM embeddings WHERE key IN "
                "(SELECT key FROM embeddings ORDER BY created_at LIMIT ?)",
                (max(1, int(count * _EVICTED_SHARE)),),
            )
            self._measure(connection)

    def _forget(self, selector: Selector, dry_run: bool) -> set[bytes]:
        where = _WHERE.get(selector.field)
        if where is None:
            return set()
        connection, values = self._require(), () if selector.field == "all" else (selector.value,)
        found = connection.execute(f"SELECT key FROM embeddings WHERE {where}", values)  # noqa: S608
        keys = {key for (key,) in found}
        if not dry_run:
            connection.execute(f"DELETE FROM embeddings WHERE {where}", values)  # noqa: S608
            self._measure(connection)
            if self._path is not None:
                remove_set_aside(self._path)
        return keys


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to a sound file, which is made where there is none, for its owner alone."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Check the file, or make its tables."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")  # what was forgotten is overwritten
    with closing(connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")) as rows:
        tables = tuple(sql for (sql,) in rows)
    if not tables:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (tables or _SCHEMA) != _SCHEMA or version != VERSION:
        raise sqlite3.DatabaseError("its tables are not those of this sidecar")
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("its check fails")


def _seal(vector: StoredVector) -> bytes:
    digest = blake2b(digest_size=16)
    for field in astuple(vector):
        part = field if isinstance(field, bytes) else str(field).encode()
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _parts(keys: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (keys[at : at + _SOME] for at in range(0, len(keys), _SOME))

"""The SQLite file of the cache: created, opened, checked, and set aside when it is damaged.

It refuses to repair. What fails a check (not a database, malformed, another schema, a
newer version) is set aside, and a fresh file takes its place: losing a cache costs money
once, serving from a broken one costs trust.

The whole-file check reads the whole file, so it is bounded: 40 ms at the limit, where a
file ten times larger would take 0.4 s warm and seconds from a slow disk. Beyond it the
seals of the rows alone carry the guarantee that no wrong answer is read, and damage to
the structure shows when it is met (`is_damage`).
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sidecar.errors import ConfigError
from sidecar.sqlite_files import make_private, result_code, set_aside

VERSION = 1
CHECKED_BYTES = 64 << 20
PAGE_BYTES = 4096

# `directory` is read at start instead of the table: it holds all that the exact tier
# keeps in memory in a thirtieth of the pages. New entries mostly expire last, so it grows
# at its end. The body comes last in its table, so that a scan for a purge skips it.
SCHEMA = (
    "CREATE TABLE entries (row INTEGER PRIMARY KEY, key BLOB NOT NULL, scope BLOB NOT NULL, "
    "id TEXT NOT NULL, question TEXT NOT NULL, model TEXT NOT NULL, answered_model TEXT NOT NULL, "
    "provider TEXT NOT NULL, tenant TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, "
    "tags TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL, value REAL NOT NULL, "
    "size INTEGER NOT NULL, seal BLOB NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX directory ON entries (expires_at, key, value, size)",
    "CREATE TABLE vectors (row INTEGER PRIMARY KEY, key BLOB NOT NULL, scope BLOB NOT NULL, "
    "embedding TEXT NOT NULL, seal BLOB NOT NULL, vector BLOB NOT NULL)",
)
# What a sound file can say while it is opened. Anything else is about its content.
_OUT_OF_REACH = (
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH,
)  # fmt: skip
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class DamagedFileError(Exception):
    """The file is not one that this version can read."""


def open_writer(path: Path, *, wal_pages: int, now: float) -> sqlite3.Connection:
    """The one connection that writes, its file created or set aside where need be.

    Raises ConfigError where the place is not writable, sqlite3.Error or OSError where
    trying again later may help. `now` is in Unix seconds and names a file set aside.
    """
    _prepare(path)
    try:
        return _open_checked(path, wal_pages)
    except (DamagedFileError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error):
            _refuse_unwritable(path, error)
            if result_code(error) in _OUT_OF_REACH:
                raise
        set_aside(path, now, str(error))
    _prepare(path)
    return _open_checked(path, wal_pages)


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that can't write; its file must have been opened for writing before."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -512")  # rows are read once, then kept whole
    return connection


def _prepare(path: Path) -> None:
    """The directory and an empty file, for their owner alone."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(path)
    except OSError as error:
        if error.errno in _PASSING:
            raise
        raise ConfigError(f"can't write the cache at {path}: {error.strerror}") from None


def _refuse_unwritable(path: Path, error: sqlite3.Error) -> None:
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)):
        raise ConfigError(f"can't write the cache at {path}: {error}") from None


def _connect(path: Path) -> sqlite3.Connection:
    # Never made here: a file that vanished is an error, not an empty cache.
    address = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(
        address, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
    )
    # Text that is no UTF-8 must break its row's seal, not the statement.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _open_checked(path: Path, wal_pages: int) -> sqlite3.Connection:
    connection = _connect(path)
    try:
        _configure(connection, wal_pages)
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            _create(connection)
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _configure(connection: sqlite3.Connection, wal_pages: int) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect on an empty file
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")  # what was forgotten is overwritten
    connection.execute(f"PRAGMA wal_autocheckpoint = {wal_pages}")
    connection.execute(f"PRAGMA journal_size_limit = {wal_pages * PAGE_BYTES}")


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise DamagedFileError(f"its schema has version {version}, this sidecar reads {VERSION}")
    with closing(connection.execute("SELECT sql FROM sqlite_schema ORDER BY rowid")) as rows:
        if tuple(sql for (sql,) in rows) != SCHEMA:
            raise DamagedFileError("its tables are not those of this sidecar")
    if path.stat().st_size <= CHECKED_BYTES:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise DamagedFileError(f"its check says: {verdict}")

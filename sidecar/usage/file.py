"""The ledger's file: made where there is none, brought up to date where it is an older one's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sidecar.errors import SidecarError
from sidecar.sqlite_files import make_private
from sidecar.usage import rows

BUSY_S = 2.0


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that may write. `sqlite3.Error` or `OSError` where the file can't be used."""
    if not path.exists():
        make_private(path)
    with closing(sqlite3.connect(path, timeout=BUSY_S)) as connection:
        if not version_of(connection):
            _create(connection)
        while (version := version_of(connection)) != rows.SCHEMA_VERSION:
            _migrate(connection, version)
        connection.execute("PRAGMA synchronous=NORMAL")
        yield connection


def bring_up_to_date(path: Path) -> None:
    """Let a reader find this version's columns; its owner alone may call it.

    Blocks. `SidecarError` where the file can't be used.
    """
    if not path.exists():
        return
    try:
        with connected(path):
            return
    except sqlite3.Error as error:
        raise SidecarError(f"the request ledger {path} can't be read: {error}") from error


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a file's schema; 0 where nothing was written yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(rows.CREATE)
    for index in rows.CREATE_INDEXES:
        connection.execute(index)
    connection.execute(f"PRAGMA user_version={rows.SCHEMA_VERSION}")


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Make a file one of the next version; a newer one can't be read."""
    if version not in rows.MIGRATIONS:
        raise sqlite3.DatabaseError(f"its schema is of version {version}")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if version_of(connection) != version:  # another connection was first
            return
        for statement in rows.MIGRATIONS[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={version + 1}")

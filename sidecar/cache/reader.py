"""Reads rows from the file, each checked by its seal. Belongs to one thread.

What can't be told apart from damage is damage: a wrong answer is worse than none. What
merely can't be reached just now is not, and stays where it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from sidecar.cache import database
from sidecar.cache.entry import Entry
from sidecar.cache.rows import (
    ENTRY_COLUMNS,
    VECTOR_PARTS,
    DamagedRowError,
    VectorRow,
    decode_entry,
    decode_vector,
    frame,
)
from sidecar.cache.slots import Listed, Place
from sidecar.sqlite_files import is_damage

_ENTRY = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM entries WHERE row = ?"  # noqa: S608 - constants
_VECTOR = f"SELECT {', '.join(VECTOR_PARTS)} FROM vectors WHERE embedding = ? AND "  # noqa: S608 - constants
_VECTORS = _VECTOR + "row > ? AND row < ? ORDER BY row LIMIT ?"
_VECTOR_AT = _VECTOR + "row = ?"
_OWNERS = (
    "SELECT row, key, scope FROM vectors WHERE row > ? AND row < ? AND embedding = ? "
    "AND typeof(key) = 'blob' AND typeof(scope) = 'blob' ORDER BY row LIMIT ?"
)
# The index has no seals. What can't have been written is left out; what was changed into
# something possible leads to a row that says otherwise when it is read.
_DIRECTORY = (
    "SELECT row, key, expires_at, value, size FROM entries INDEXED BY directory "
    "WHERE typeof(key) = 'blob' AND length(key) = 32 AND typeof(expires_at) = 'real' "
    "AND typeof(value) = 'real' AND typeof(size) = 'integer' AND size >= 0"
)
_LISTED_AT_ONCE = 4_000
_LAST = (
    "SELECT max(last) FROM "
    "(SELECT max(row) AS last FROM entries UNION ALL SELECT max(row) FROM vectors)"
)


class Flaw(Enum):
    """Why there is no entry where one was expected."""

    MISSING = "missing"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


Found: TypeAlias = Entry | Flaw


class VectorChunk(NamedTuple):
    """Vectors in order of rows, the rows that are damaged, where to go on, and whether the
    disk could be read.
    """

    rows: list[VectorRow]
    damaged: list[int]
    last: int
    ok: bool = True


class Owner(NamedTuple):
    """Whose a stored vector is, by a row whose seal was not checked."""

    row: int
    key: bytes
    scope: bytes


class Reader:
    """A connection that follows the file when another takes its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._epoch = -1

    def entry(self, place: Place, epoch: int) -> Found:
        """The entry at a place."""
        try:
            record = self._connect(epoch).execute(_ENTRY, (place.row,)).fetchone()
            return Flaw.MISSING if record is None else decode_entry(record, place)
        except DamagedRowError:
            return Flaw.DAMAGED
        except sqlite3.Error as error:
            return Flaw.DAMAGED if is_damage(error) else Flaw.UNREADABLE

    def directory(self, epoch: int) -> Iterator[list[Listed]]:
        """All entries, in parts, from the index that holds nothing else; raises sqlite3.Error."""
        lines = self._connect(epoch).execute(_DIRECTORY)
        while part := lines.fetchmany(_LISTED_AT_ONCE):
            yield list(map(Listed._make, part))

    def last_row(self, epoch: int) -> int:
        """The highest row in use, 0 for none; raises sqlite3.Error."""
        return int(self._connect(epoch).execute(_LAST).fetchone()[0] or 0)

    def vectors(
        self, after: int, below: int, embedding: str, limit: int, epoch: int
    ) -> VectorChunk:
        """Up to `limit` vectors of one model, from beyond a row; raises sqlite3.Error."""
        limits = (embedding, after, below, limit)
        return _chunk(self._connect(epoch).execute(_VECTORS, limits), embedding, after)

    def vectors_at(self, rows: Sequence[int], embedding: str, epoch: int) -> VectorChunk:
        """The vectors of one model in these rows; raises sqlite3.Error."""
        connection = self._connect(epoch)
        found = (
            connection.execute(_VECTOR_AT, (embedding, row)).fetchone() for row in sorted(rows)
        )
        return _chunk((each for each in found if each is not None), embedding, 0)

    def owners(self, after: int, below: int, embedding: str, limit: int, epoch: int) -> list[Owner]:
        """Whose the next vectors are, which are not read; raises sqlite3.Error."""
        records = self._connect(epoch).execute(_OWNERS, (after, below, embedding, limit))
        return list(map(Owner._make, records))

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _connect(self, epoch: int) -> sqlite3.Connection:
        if epoch != self._epoch:
            self.close()
        if self._connection is None:
            self._connection = database.open_reader(self._path)
            self._epoch = epoch
        return self._connection


def _chunk(records: Iterable[Sequence[Any]], embedding: str, last: int) -> VectorChunk:
    model = frame(embedding)
    rows: list[VectorRow] = []
    damaged: list[int] = []
    # One at a time: SQLite lets go of the interpreter for each, and others get their turn.
    for record in records:
        last = record[0]
        try:
            rows.append(decode_vector(record, model))
        except DamagedRowError:
            damaged.append(last)
    return VectorChunk(rows, damaged, last)

"""The SQL that runs in a transaction: a group of commands, and what a purge selects.

One place holds both halves of a selector's meaning in SQL; `Selector.matches` is the
same in Python, and a test holds the two together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sidecar.cache.commands import Command, Drop, Forget, Save
from sidecar.cache.entry import Selector
from sidecar.cache.rows import (
    ENTRY_COLUMNS,
    VECTOR_COLUMNS,
    encode_entry,
    encode_vector,
    pack_tags,
)
from sidecar.cache.slots import Place


def _insert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    names = ", ".join(columns)
    return f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - constants


_SAVE_ENTRY = _insert("entries", ENTRY_COLUMNS)
_SAVE_VECTOR = _insert("vectors", VECTOR_COLUMNS)
_DROP = ("DELETE FROM entries WHERE row = ?", "DELETE FROM vectors WHERE row = ?")
_FIND = "SELECT row, key FROM entries WHERE row < :below AND "
_WHERE = {
    "all": "1",
    "entry": "id = :value",
    "tag": "instr(tags, :value) > 0",
    "model": "(model = :value OR answered_model = :value)",
    # A range, for `id@` and whatever follows; "A" comes after "@".
    "prompt": "(prompt = :value OR (prompt >= :value || '@' AND prompt < :value || 'A'))",
    "tenant": "tenant = :value",
    "user": "user = :value",
}
_UNWRITABLE = (
    ValueError, TypeError, OverflowError,
    sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
)  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """What a transaction did. `found` has the places of each Forget, in order."""

    saved: list[Place] = field(default_factory=list)
    refused: int = 0
    found: list[list[Place]] = field(default_factory=list)
    used_bytes: int = 0


def commit(connection: sqlite3.Connection, batch: Sequence[Command], embedding: str) -> Outcome:
    """Carry out all of it in one transaction, or none; raises sqlite3.Error."""
    outcome = Outcome()
    connection.execute("BEGIN IMMEDIATE")
    try:
        for command in batch:
            _apply(connection, command, embedding, outcome)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.rollback()
        raise
    return outcome


def _apply(
    connection: sqlite3.Connection, command: Command, embedding: str, outcome: Outcome
) -> None:
    match command:
        case Save():
            _save(connection, command, embedding, outcome)
        case Drop(row):
            drop(connection, row)
        case Forget(selector, below, dry_run):
            places = find(connection, selector, below)
            outcome.found.append(places)
            for place in () if dry_run else places:
                drop(connection, place.row)
        case _:
            pass  # a Flush is answered by the commit


def _save(connection: sqlite3.Connection, save: Save, embedding: str, outcome: Outcome) -> None:
    if save.replaces is not None:
        drop(connection, save.replaces)
    try:
        connection.execute(_SAVE_ENTRY, encode_entry(save.row, save.entry, save.size))
    except _UNWRITABLE:
        # It stays in memory; trying again would only hold up those behind it.
        outcome.refused += 1
        return
    if save.vector is not None:
        row = encode_vector(save.row, save.entry, embedding, save.vector)
        connection.execute(_SAVE_VECTOR, row)
    outcome.saved.append(Place(save.row, save.entry.key))


def drop(connection: sqlite3.Connection, row: int) -> None:
    """Delete an entry and its vector."""
    for statement in _DROP:
        connection.execute(statement, (row,))


def find(connection: sqlite3.Connection, selector: Selector, below: int) -> list[Place]:
    """What a selector means, among rows below a limit."""
    value = pack_tags((selector.value,)) if selector.field == "tag" else selector.value
    try:
        rows = connection.execute(
            _FIND + _WHERE[selector.field], {"value": value, "below": below}
        ).fetchall()
    except UnicodeEncodeError:
        return []  # what has no UTF-8 form was never written
    return [Place(row, key) for row, key in rows]


def used_bytes(connection: sqlite3.Connection) -> int:
    """What rows take; free pages are not counted, they are used before the file grows."""
    return (_number(connection, "page_count") - free_pages(connection)) * _number(
        connection, "page_size"
    )


def free_pages(connection: sqlite3.Connection) -> int:
    """Pages of the file that hold nothing."""
    return _number(connection, "freelist_count")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def shrink(connection: sqlite3.Connection, pages: int) -> None:
    """Give free pages back to the file system."""
    # It frees a page a step, and gives rows without columns, which `execute` doesn't step
    # through; a script runs to its end.
    connection.executescript(f"PRAGMA incremental_vacuum({pages})")


def empty_journal(connection: sqlite3.Connection) -> None:
    """Move the journal into the file and cut it, so that it holds nothing forgotten."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

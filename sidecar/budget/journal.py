"""The money journal: a SQLite file in which every charge is written before its call is sent.

`synchronous=FULL`: what is acknowledged survives the machine, not only the process. The
file is never set aside and begun anew, as a cache's is: with it would go the knowledge of
what is spent. What can't be trusted raises `DamagedJournalError`, and stays where it is.

Callers wait for `write` alone, which is short; `post` makes what it wrote readable. One
connection writes and belongs to the writing thread once that runs; the other one only reads,
for whoever else asks.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from sidecar.budget.ledger import Posting
from sidecar.budget.schema import (
    AT_ONCE,
    POST,
    SCHEMA,
    SELECT,
    VERSION,
    Entry,
    Row,
    decoded,
    entry,
    write,
)
from sidecar.budget.terms import Account
from sidecar.budget.windows import Window

FAILURES = (sqlite3.Error, OSError, ValueError)
"""What a file can answer with; damaged ones hold text that is none."""
RETENTION_S = 62 * 86_400.0
BUSY_S = 1.0
_SWEPT_AT_ONCE = 500
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
# The log is begun anew after a megabyte, and is as long from the start: written over, it is
# synced in half the time of one that grows.
LOG_BYTES = 260 * (4096 + 24)
_PRAGMAS = (
    "journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 256",
    "journal_size_limit = 2097152", "cell_size_check = ON",
)  # fmt: skip
_BALANCE = (
    "SELECT committed, unsettled, doubts FROM accounts"
    ' WHERE budget = ? AND start = ? AND each = ? AND "end" = ?'
)
_SWEEP = (
    "DELETE FROM charges WHERE seq IN (SELECT seq FROM charges WHERE at < ? AND NOT"
    " (kind = 'bound' AND NOT reconciled) ORDER BY at LIMIT ?)",
    "DELETE FROM accounts WHERE (budget, start, each) IN"
    " (SELECT budget, start, each FROM accounts WHERE start < ? ORDER BY start LIMIT ?)",
)


class DamagedJournalError(Exception):
    """The file is not one that this version may believe."""


class Journal:
    """The file, open. Raises FAILURES or DamagedJournalError where it can't be."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_there(path)
        self.path = path
        self.writing = _connected(path)
        try:
            _prepare(self.writing)
            _lengthen(self.writing, path.with_name(path.name + "-wal"))
            self.reading = _connected(path)
        except BaseException:
            self.writing.close()
            raise
        self.reading.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Let go of the file."""
        for connection in (self.reading, self.writing):
            with suppress(sqlite3.Error):
                connection.close()

    def write(self, rows: Iterable[Row]) -> None:
        """Write a group of charges, all or none; on disk when this returns.

        Of two rows with one `seq` the later is written alone.
        """
        entries = [entry(row) for row in {row.seq: row for row in rows}.values()]
        parts = [entries[place : place + AT_ONCE] for place in range(0, len(entries), AT_ONCE)]
        with self.writing:
            if len(parts) > 1:
                self.writing.execute("BEGIN IMMEDIATE")
            for part in parts:
                self._write(part)

    def _write(self, entries: Sequence[Entry]) -> None:
        # One statement, for Python lets other threads run at each: a hundred of them would
        # wait a hundred times for a busy event loop.
        values = [value for each in entries for value in each]
        self.writing.execute(write(len(entries)), values)

    def post(self) -> None:
        """Move what is settled to where it can be asked for, and add it to its accounts."""
        with self.writing:
            self.writing.execute("BEGIN IMMEDIATE")
            for statement in POST:
                self.writing.execute(statement)

    def tail(self) -> list[Row]:
        """Rows that are not posted, each as it was written; else `DamagedJournalError`."""
        found = self.writing.execute("SELECT seq, is_open, row, checksum FROM tail ORDER BY seq")
        rows = [decoded(each) for each in found]
        if None in rows:
            raise DamagedJournalError("a row of its tail is not what was written")
        return [row for row in rows if row]

    def sweep(self, now: float) -> bool:
        """Forget some of what is older than `RETENTION_S`, and whether there may be more.

        What is in doubt stays. A little at a time, for a group of charges may wait for it.
        """
        limits = (now - RETENTION_S, _SWEPT_AT_ONCE)
        removed = [self.writing.execute(each, limits).rowcount for each in _SWEEP]
        return any(removed)

    def balance(self, account: Account) -> Posting:
        """What the account has spent."""
        key = (account.budget, account.start, account.each, account.end)
        found = self.reading.execute(_BALANCE, key).fetchone()
        return Posting(*found) if found else Posting(0)

    def spent(self, budget: str, window: Window, limit: int) -> dict[str, Posting]:
        """What the accounts of one window have spent, by `each`; those who spent the most."""
        found = self.reading.execute(
            "SELECT each, committed, unsettled, doubts FROM accounts WHERE budget = ? AND start = ?"
            ' AND "end" = ? ORDER BY committed DESC LIMIT ?',
            (budget, window.start, window.end, limit),
        )
        return {each: Posting(*money) for each, *money in found}

    def in_doubt(self, limit: int) -> list[Row]:
        """Charges that only a bound vouches for, the oldest first."""
        where = "WHERE kind IN ('bound', 'emitted') AND NOT reconciled AND kind = 'bound'"
        found = self.reading.execute(f"{SELECT} {where} ORDER BY seq LIMIT ?", (limit,))
        return [Row(*values) for values in found]

    def doubtful(self, charge: str) -> Row | None:
        """A charge of this id that may still be corrected."""
        where = "WHERE kind IN ('bound', 'emitted') AND NOT reconciled AND id = ? LIMIT 1"
        found = self.reading.execute(f"{SELECT} {where}", (charge,)).fetchone()
        return Row(*found) if found else None

    def charges(self, since: float, until: float) -> Iterator[Row]:
        """All charges and adjustments whose money was held in that time, `until` exclusive."""
        where = "WHERE at >= ? AND at < ? ORDER BY at, seq"
        return (
            Row(*values) for values in self.reading.execute(f"{SELECT} {where}", (since, until))
        )

    def last_seq(self) -> int:
        """The highest `seq` there is."""
        found = (
            self.reading.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("charges", "tail")
        )
        return max(map(int, found))


def _require_there(path: Path) -> None:
    """Make it where there is none. An empty file was not always so, and holds no tables."""
    log = path.with_name(path.name + "-wal")
    if not os.path.lexists(path):
        if log.exists() and log.stat().st_size:
            raise DamagedJournalError(f"{log.name} is there without it")
        _make(path)
    os.close(os.open(path, os.O_RDWR | os.O_NOFOLLOW))


def _make(path: Path) -> None:
    """Under another name first, so that a crash never leaves a half-made one."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    with closing(_connected(new)) as connection:
        _create(connection)
    new.replace(path)


def _connected(path: Path) -> sqlite3.Connection:
    # Never made here: a file that vanished is an error, not an empty journal.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False,
    )  # fmt: skip


def _prepare(connection: sqlite3.Connection) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise DamagedJournalError(f"its schema has version {version}, this sidecar reads {VERSION}")
    tables = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
    )
    if tuple(sql for (sql,) in tables) != SCHEMA:
        raise DamagedJournalError("its tables are not those of this sidecar")


def _lengthen(connection: sqlite3.Connection, log: Path) -> None:
    """Write zeros behind what the log holds, which SQLite reads as its end."""
    connection.execute("BEGIN IMMEDIATE")  # nobody else adds to it meanwhile
    try:
        with suppress(OSError), os.fdopen(os.open(log, _APPEND), "ab") as file:
            file.write(bytes(max(0, LOG_BYTES - file.tell())))
            file.flush()
            os.fsync(file.fileno())
    finally:
        connection.execute("ROLLBACK")


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")

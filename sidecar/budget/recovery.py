"""What is done with the journal before the first call: it is checked, and cleared up.

A row that is still open belonged to a process that died: its call may have reached the
provider, so it is charged its whole amount, in the window in which that was held, and stays
in doubt until it is reconciled. A call on a budget whose row was never written was never sent.

Checked: the write-ahead log; the structure of the file; the rows that are not posted; and
that accounts add up, for what each has committed must be the sum of its charges, so a flipped
bit shows in one of the two.
All this is bounded, for it reads what it checks: files up to `CHECKED_BYTES`, the newest
`CHECKED_CHARGES` charges and the windows that began with them.

Not promised: a write-ahead log that was cut from outside, or changed in its last commit, reads
as one that ends there. Nothing tells it from the log of a machine that lost its power.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TypeAlias

from sidecar.budget import rows
from sidecar.budget.journal import RETENTION_S, DamagedJournalError, Journal
from sidecar.budget.schema import OPEN
from sidecar.budget.wal import is_broken

CHECKED_BYTES = 64 << 20
CHECKED_CHARGES = 20_000
_Sums: TypeAlias = dict[tuple[str, str, int, int], tuple[int, int, int]]
_SINCE = "SELECT at FROM charges ORDER BY at DESC LIMIT 1 OFFSET ?"
_TOLD = (
    'SELECT budget, each, start, "end", committed, unsettled, doubts FROM accounts WHERE start >= ?'
)
_ADDED = (
    "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),"
    " json_extract(value, '$[3]'), sum(nano), sum(unsettled), sum(doubts)"
    " FROM charges, json_each(charges.accounts)"
    " WHERE at >= ? AND json_extract(value, '$[2]') >= ? GROUP BY 1, 2, 3, 4"
)


def recovered(path: Path, now: float) -> tuple[Journal, int, int]:
    """The journal, how many calls the end of the process before cut off, and its last `seq`.

    Raises journal.FAILURES or DamagedJournalError.
    """
    _check_log(path.with_name(path.name + "-wal"))
    journal = Journal(path)
    try:
        _check(journal, now)
        cut_off = [rows.cut_off(row, now) for row in journal.tail() if row.kind == OPEN]
        if cut_off:
            journal.write(cut_off)
        journal.post()
        return journal, len(cut_off), journal.last_seq()
    except BaseException:
        journal.close()
        raise


def _check_log(log: Path) -> None:
    # Before SQLite opens it: that would move what it believes to the file, and drop the rest.
    is_read = log.exists() and log.stat().st_size <= CHECKED_BYTES
    if is_read and is_broken(log.read_bytes()):
        raise DamagedJournalError(f"{log.name} is damaged")


def _check(journal: Journal, now: float) -> None:
    if journal.path.stat().st_size <= CHECKED_BYTES:
        (verdict,) = journal.reading.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise DamagedJournalError(f"its check says: {verdict}")
    beyond = journal.reading.execute(_SINCE, (CHECKED_CHARGES,)).fetchone()
    # Older windows may have lost charges to the retention.
    since = max(beyond[0] if beyond else 0.0, now - RETENTION_S)
    if _told(journal.reading, since) != _added(journal.reading, since):
        raise DamagedJournalError("its accounts are not the sums of their charges")


def _told(connection: sqlite3.Connection, since: float) -> _Sums:
    return _sums(connection.execute(_TOLD, (since,)))


def _added(connection: sqlite3.Connection, since: float) -> _Sums:
    return _sums(connection.execute(_ADDED, (since, since)))


def _sums(found: sqlite3.Cursor) -> _Sums:
    return {(budget, each, start, end): tuple(money) for budget, each, start, end, *money in found}

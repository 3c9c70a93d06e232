"""The tables of the money journal, and the statements that write them. Pure.

A row is first written to the `tail`, whole and in one short text with its checksum: a group
of them touches a page or two, and callers wait for nothing else. What is settled there is
posted from time to time, many rows at once: moved to `charges`, where it can be asked for.
What is open stays in the tail.

A trigger keeps the accounts in step with the charges, so that no transaction can hold the
one without the other: what an account has committed is at every moment the sum of its
charges. A correction is a row of its own (kind `adjustment`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeAlias
from zlib import crc32

import orjson

VERSION = 1
OPEN = "open"
ADJUSTMENT = "adjustment"
UNBUDGETED = "[]"
"""The accounts of a row that is on no budget."""
AT_ONCE = 200
"""Rows in one statement; older SQLites take 999 values."""

Entry: TypeAlias = tuple[int, bool, str, int]
"""A row of the tail: its `seq`, whether it is open, the row as JSON, and the checksum of that."""


class Row(NamedTuple):
    """A charge as it stands in the journal.

    `at` is when its money was held, in Unix seconds. `accounts` is JSON, [[budget, each,
    start, end], …]; `tokens` too, None where unknown. `amount` is what was held, `nano` what
    it adds to its accounts, `unsettled` what it adds to their money that only a bound
    vouches for, and `doubts` to the count of such charges. `adjusts` is the `seq` of the
    charge that an adjustment corrects.
    """

    seq: int
    id: str
    request: str
    at: float
    settled_at: float | None
    tenant: str
    user: str
    feature: str
    department: str
    asked_model: str
    provider: str
    model: str
    answered_model: str
    kind: str
    tokens: str | None
    amount: int
    nano: int
    unsettled: int
    doubts: int
    accounts: str
    adjusts: int | None = None
    note: str = ""


_POST = """
    INSERT INTO accounts (budget, start, each, "end", committed, unsettled, doubts)
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[2]'),
               json_extract(value, '$[1]'), json_extract(value, '$[3]'),
               new.nano, new.unsettled, new.doubts
        FROM json_each(new.accounts) WHERE true
        ON CONFLICT DO UPDATE SET committed = committed + excluded.committed,
            unsettled = unsettled + excluded.unsettled, doubts = doubts + excluded.doubts;
"""
SCHEMA = (
    "CREATE TABLE charges (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, request TEXT NOT NULL,"
    " at REAL NOT NULL, settled_at REAL, tenant TEXT NOT NULL, user TEXT NOT NULL,"
    " feature TEXT NOT NULL, department TEXT NOT NULL, asked_model TEXT NOT NULL,"
    " provider TEXT NOT NULL, model TEXT NOT NULL, answered_model TEXT NOT NULL,"
    " kind TEXT NOT NULL, tokens TEXT, amount INTEGER NOT NULL, nano INTEGER NOT NULL,"
    " unsettled INTEGER NOT NULL, doubts INTEGER NOT NULL, accounts TEXT NOT NULL,"
    " adjusts INTEGER, note TEXT NOT NULL, reconciled INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE accounts (budget TEXT NOT NULL, start INTEGER NOT NULL, each TEXT NOT NULL,"
    ' "end" INTEGER NOT NULL, committed INTEGER NOT NULL, unsettled INTEGER NOT NULL,'
    ' doubts INTEGER NOT NULL, PRIMARY KEY (budget, start, each, "end")) WITHOUT ROWID',
    "CREATE INDEX accounts_by_time ON accounts (start)",
    "CREATE INDEX charges_by_time ON charges (at)",
    # What no provider has vouched for: few at any time.
    "CREATE INDEX charges_in_doubt ON charges (seq)"
    " WHERE kind IN ('bound', 'emitted') AND NOT reconciled",
    f"CREATE TRIGGER posted AFTER INSERT ON charges BEGIN{_POST}END",
    "CREATE TRIGGER adjusted AFTER INSERT ON charges WHEN new.kind = 'adjustment' BEGIN"
    " UPDATE charges SET reconciled = 1 WHERE seq = new.adjusts; END",
    "CREATE TABLE tail (seq INTEGER PRIMARY KEY, is_open INTEGER NOT NULL, row TEXT NOT NULL,"
    " checksum INTEGER NOT NULL)",
)
_NAMES = ", ".join(Row._fields)
_VALUES = ", ".join(f"json_extract(row, '$[{place}]')" for place in range(len(Row._fields)))
SELECT = f"SELECT {_NAMES} FROM charges"  # noqa: S608
POST = (  # a charge that is there is never written over, whatever is told twice
    f"INSERT INTO charges ({_NAMES}) SELECT {_VALUES} FROM tail WHERE NOT is_open ORDER BY seq"  # noqa: S608
    " ON CONFLICT (seq) DO NOTHING",
    "DELETE FROM tail WHERE NOT is_open",
)


@lru_cache(AT_ONCE)
def write(count: int) -> str:
    """The statement that writes so many entries to the tail. What is settled there stays."""
    places = ", ".join(["(?, ?, ?, ?)"] * count)
    return (
        f"INSERT INTO tail (seq, is_open, row, checksum) VALUES {places}"  # noqa: S608
        " ON CONFLICT (seq) DO UPDATE SET"
        " is_open = false, row = excluded.row, checksum = excluded.checksum"
        " WHERE tail.is_open AND NOT excluded.is_open"
    )


def entry(row: Row) -> Entry:
    """The row as the tail has it."""
    text = _json(row)
    return row.seq, row.kind == OPEN, text.decode(), crc32(text)


def decoded(entry: Entry) -> Row | None:
    """The row that the tail has; None where it is not what was written."""
    seq, is_open, text, checksum = entry
    if crc32(text.encode()) != checksum:
        return None
    row = Row(*orjson.loads(text))
    return row if (row.seq, row.kind == OPEN) == (seq, is_open) else None


def _json(row: Row) -> bytes:
    try:
        return orjson.dumps(list(row))
    except orjson.JSONEncodeError:  # half of a character, in some label
        return orjson.dumps(list(map(_whole, row)))


def _whole(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value

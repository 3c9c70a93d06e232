"""A month's closing: every charge of the money journal, summed, beside what the budgets say.

Reads the journal with a connection of its own, beside a running sidecar or without one.
A charge belongs to the moment at which its money was held, a correction to that of the
charge it corrects, so a month adds up with the windows of its budgets. Corrections made
after a closing was taken change that month's sums: the closing tells how many there are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sidecar.budget.money import told
from sidecar.domain import Json
from sidecar.errors import SidecarError

GROUPS = ("day", "tenant", "department", "feature", "provider", "model")
_KINDS = ("input", "cached_input", "cache_write", "output", "reasoning")
COLUMNS = (
    *GROUPS, "calls", *(f"{kind}_tokens" for kind in _KINDS),
    "corrections", "cost_usd", "unsettled_usd",
)  # fmt: skip
_MODEL = "CASE answered_model WHEN '' THEN model ELSE answered_model END"
_TOKENS = ", ".join(f"coalesce(sum(json_extract(tokens, '$.{kind}')), 0)" for kind in _KINDS)
_CHARGES = f"""
SELECT day_of(at), tenant, department, feature, provider, {_MODEL},
       sum(kind <> 'adjustment'), {_TOKENS}, sum(nano), sum(unsettled), sum(kind = 'adjustment')
FROM charges WHERE at >= ? AND at < ? AND kind <> 'open' AND (? = '' OR provider = ?)
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608
_ACCOUNTS = """
SELECT budget, each, start, "end", committed, coalesce((
    SELECT sum(nano) FROM charges, json_each(charges.accounts) AS on_account
    WHERE charges.at >= accounts.start AND charges.at < accounts."end" AND kind <> 'open'
      AND json_extract(on_account.value, '$[0]') = budget
      AND json_extract(on_account.value, '$[1]') = each
      AND json_extract(on_account.value, '$[2]') = start
), 0) FROM accounts WHERE start < ? AND "end" > ? ORDER BY budget, each, start
"""


def charges(
    path: Path, since: float, until: float, zone: ZoneInfo, provider: str = ""
) -> list[dict[str, Json]]:
    """The charges of a period by `GROUPS`; `nano` is their sum in nano-dollars.

    Days begin in `zone`; `provider` keeps one provider's. Blocks. `SidecarError` where the
    journal can't be read; one that does not exist holds none.
    """
    names = (*GROUPS, "calls", *(f"{kind}_tokens" for kind in _KINDS))
    names = (*names, "nano", "unsettled", "corrections")
    rows = _read(path, zone, _CHARGES, (since, until, provider, provider))
    return [dict(zip(names, row, strict=True)) for row in rows]


def close(path: Path, since: float, until: float, zone: ZoneInfo) -> dict[str, Json]:
    """All charges of a period, what the budgets say of its windows, and the sum of both."""
    rows = charges(path, since, until, zone)
    accounts = _read(path, zone, _ACCOUNTS, (until, since))
    return {
        "since": since,
        "until": until,
        "timezone": str(zone),
        "columns": list(COLUMNS),
        "rows": [_shown(row) for row in rows],
        "total": {
            "calls": sum(row["calls"] for row in rows),
            "cost_usd": told(sum(row["nano"] for row in rows)),
            "unsettled_usd": told(sum(row["unsettled"] for row in rows)),
            "corrections": sum(row["corrections"] for row in rows),
        },
        "budgets": [_window(row, since, until) for row in accounts],
    }


def _shown(row: dict[str, Json]) -> dict[str, Json]:
    shown = {name: value for name, value in row.items() if name not in ("nano", "unsettled")}
    return {**shown, "cost_usd": told(row["nano"]), "unsettled_usd": told(row["unsettled"])}


def _window(row: Sequence[Json], since: float, until: float) -> dict[str, Json]:
    """One budget's window. Where it reaches out of the period it says so: `is_whole`."""
    budget, each, start, end, committed, added = row
    return {
        "budget": budget,
        "each": each,
        "start": start,
        "end": end,
        "is_whole": since <= start and end <= until,
        "spent_usd": told(committed),
        "charges_usd": told(added),
        "difference_usd": told(committed - added),
    }


def _read(path: Path, zone: ZoneInfo, text: str, values: Sequence[Json]) -> list[Sequence[Json]]:
    if not path.exists():  # nothing was charged yet
        return []
    try:
        with _connected(path, zone) as connection:
            return connection.execute(text, values).fetchall()
    except (sqlite3.Error, ValueError) as error:
        raise SidecarError(f"the money journal {path} can't be read: {error}") from error


@contextmanager
def _connected(path: Path, zone: ZoneInfo) -> Iterator[sqlite3.Connection]:
    def day_of(at: float) -> str:
        return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d")

    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=2.0)) as connection:
        connection.create_function("day_of", 1, day_of, deterministic=True)
        yield connection

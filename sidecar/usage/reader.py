"""Reads the ledger of requests for reports: a connection of its own, which never writes.

Used by a running sidecar in a thread, and by the command line where none runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from sidecar.domain import Json
from sidecar.errors import SidecarError
from sidecar.usage import query as asked
from sidecar.usage import rows
from sidecar.usage.file import BUSY_S, version_of
from sidecar.usage.period import zone_of
from sidecar.usage.query import MOST_ROWS, UsageQuery

_FORMATS = {"hour_of": "%Y-%m-%dT%H:00", "day_of": "%Y-%m-%d", "month_of": "%Y-%m"}


def usage(path: Path, query: UsageQuery) -> dict[str, Json]:
    """The rows and the total of a query. Blocks. `SidecarError` where the file can't be read.

    A file that does not exist yet holds no rows. More than 10,000 groups are cut, and that
    is told as `cut`; the total counts them all.
    """
    whole = UsageQuery(query.since, query.until, (), query.where, query.timezone)
    try:
        with _connected(path, query.timezone) as connection:
            groups = _told(connection, query) if query.by else []
            total = _told(connection, whole)[0]
    except sqlite3.Error as error:
        raise SidecarError(f"the request ledger {path} can't be read: {error}") from error
    return {
        "since": query.since,
        "until": query.until,
        "timezone": query.timezone,
        "by": list(query.by),
        "rows": groups[:MOST_ROWS],
        "cut": len(groups) > MOST_ROWS,
        "total": total,
    }


def _told(connection: sqlite3.Connection, query: UsageQuery) -> list[dict[str, Json]]:
    text, values = asked.statement(query)
    return [asked.record(query, row) for row in connection.execute(text, values)]


@contextmanager
def _connected(path: Path, timezone: str) -> Iterator[sqlite3.Connection]:
    zone = zone_of(timezone)
    with closing(_opened(path)) as connection:
        if not version_of(connection):  # nothing was asked yet
            connection.execute(rows.CREATE.replace(" requests ", " temp.requests ", 1))
        for name, form in _FORMATS.items():
            connection.create_function(
                name, 1, lambda at, form=form: datetime.fromtimestamp(at, zone).strftime(form),
                deterministic=True,
            )  # fmt: skip
        # Both sums are of one moment, whatever is written in between.
        connection.execute("BEGIN")
        yield connection


def _opened(path: Path) -> sqlite3.Connection:
    if not path.exists():
        return sqlite3.connect(":memory:")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)

"""Request rows as SQLite columns, and back. Pure but for the schema it declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_type_hints

import orjson

from sidecar.domain import Json
from sidecar.events import RequestRow
from sidecar.wire.body import dump

SCHEMA_VERSION = 2
MIGRATIONS = {
    1: (
        "ALTER TABLE requests ADD COLUMN cache_write_tokens INTEGER",
        "ALTER TABLE requests ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE requests ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0",
    ),
}
"""What makes a file of that version one of the next. New columns stand last."""
_JSON = frozenset({"attempts", "decisions", "stages_ms"})
_TYPES = {
    str: "TEXT", bool: "INTEGER", int: "INTEGER", int | None: "INTEGER",
    float: "REAL", float | None: "REAL",
}  # fmt: skip
_COLUMNS = tuple(
    (name, _TYPES.get(kind, "TEXT")) for name, kind in get_type_hints(RequestRow).items()
)
NAMES = tuple(name for name, _ in _COLUMNS)

CREATE = f"""
CREATE TABLE IF NOT EXISTS requests (
    {", ".join(f'"{name}" {kind}' for name, kind in _COLUMNS)}
)
"""
# Rows are appended in the order of their coming; only the small index is written at random.
CREATE_INDEXES = (
    "CREATE UNIQUE INDEX IF NOT EXISTS requests_by_id ON requests (id)",
    "CREATE INDEX IF NOT EXISTS requests_by_time ON requests (started_at)",
)
INSERT = f"INSERT OR REPLACE INTO requests VALUES ({', '.join('?' * len(NAMES))})"  # noqa: S608
SELECT = "SELECT * FROM requests WHERE id = ?"


_JSON_PLACES = tuple(place for place, name in enumerate(NAMES) if name in _JSON)


def to_values(row: RequestRow) -> list[Json]:
    """The row's values in the order of `NAMES`."""
    values: list[Json] = list(row)
    for place in _JSON_PLACES:
        value = values[place]
        values[place] = dump(value).decode() if value else ("{}" if value == {} else "[]")
    return values


def to_record(values: Sequence[Json]) -> dict[str, Json]:
    """Stored values as JSON tells them."""
    record = dict(zip(NAMES, values, strict=True))
    for name in _JSON:
        record[name] = orjson.loads(record[name])
    for name in ("stream", "stored", "unpriced", "estimated"):
        record[name] = bool(record[name])
    return record

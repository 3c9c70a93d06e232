"""Tables as CSV, for spreadsheets: a cell can't become a formula. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from sidecar.domain import Json

# A spreadsheet reads a cell that begins so as a formula, and tags come from callers.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_of(rows: Sequence[Mapping[str, Json]], names: Sequence[str] | None = None) -> str:
    """Rows of equal columns as CSV with a head; `names` are the columns where no row tells them."""
    columns = list(rows[0]) if rows else list(names or ())
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # lines end as RFC 4180 has it
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])
    return text.getvalue()


def _cell(value: Json) -> Json:
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

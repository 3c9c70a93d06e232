"""What commands print: JSON for machines, aligned columns for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

_SHORTEST = Decimal("0.000001")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def print_json(value: Any) -> None:
    """One JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def human_size(count: float) -> str:
    """Bytes in the unit that leaves the fewest digits: `21.9 MiB`."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.1f} {_UNITS[unit]}" if unit else f"{count:.0f} B"


def print_figures(rows: Sequence[Mapping[str, Any]], keep: Sequence[str] = ()) -> None:
    """Rows of equal columns, with a head; figures stand right.

    Columns in which nothing is told are left out, but for those to `keep`.
    """
    shown = [
        name for name in rows[0] if name in keep or any(_tells(row[name]) for row in rows)
    ]  # fmt: skip
    cells = [[_cell(row[name]) for name in shown] for row in rows]
    right = [all(_is_figure(row[name]) for row in rows) for name in shown]
    heads = [name.replace("_", " ") for name in shown]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for line in (heads, *cells):
        places = zip(line, widths, right, strict=True)
        told = (cell.rjust(w) if is_right else cell.ljust(w) for cell, w, is_right in places)
        print("  ".join(told).rstrip())


def usd(amount: str) -> str:
    """Decimal dollars for people, to the millionth: `$0.0123`, `-$5`, `<$0.000001`."""
    exact = Decimal(amount)
    short = exact.quantize(_SHORTEST, ROUND_HALF_EVEN)
    if exact and not short:
        return f"<${_SHORTEST}"
    digits = f"{abs(short):,f}".rstrip("0").rstrip(".")
    return f"{'-' if short < 0 else ''}${digits}"


def _tells(value: Any) -> bool:
    return value not in ("", 0, "$0")


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) or str(value).startswith(("$", "-$", "<$"))


def _cell(value: Any) -> str:
    if type(value) is float:
        return f"{value:,.1f}"
    return f"{value:,}" if type(value) is int else str(value)

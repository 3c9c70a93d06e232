"""A provider's invoice beside our own charges: what differs, by day and model. Pure.

Invoices are CSV with a head. The columns are found by the names that vendors use; what
is no line of an invoice is refused with its line number, since a difference that is
overlooked is what this is there to prevent.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from sidecar.dollars import dollars
from sidecar.domain import Json
from sidecar.errors import InvalidRequestError

DAY_NAMES = ("date", "day", "usage_date", "usage_date_utc", "start_time_iso", "timestamp")
MODEL_NAMES = ("model", "model_version", "line_item", "model_name", "snapshot_id")
COST_NAMES = ("cost_usd", "amount_usd", "amount_value", "cost", "amount", "total")
CENT = 10**7
"""Nano-dollars."""
Lines: TypeAlias = Mapping[tuple[str, str], int]
"""Nano-dollars by day (`2026-10-05`) and model."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One day's and model's two sums, in nano-dollars; None where a side has no such line."""

    day: str
    model: str
    ours: int | None
    theirs: int | None

    @property
    def difference(self) -> int:
        """What the invoice has more."""
        return (self.theirs or 0) - (self.ours or 0)

    def told(self) -> dict[str, Json]:
        """As a row of a table; sums in decimal dollars."""
        return {
            "day": self.day,
            "model": self.model,
            "ours_usd": "" if self.ours is None else dollars(self.ours),
            "invoice_usd": "" if self.theirs is None else dollars(self.theirs),
            "difference_usd": dollars(self.difference),
            "note": self._note(),
        }

    def _note(self) -> str:
        if self.ours is None:
            return "only on the invoice"
        return "only here" if self.theirs is None else ""


def compare(ours: Lines, theirs: Lines) -> list[Comparison]:
    """Both sides, line by line, in the order of days and models."""
    places = sorted({*ours, *theirs})
    return [Comparison(*place, ours.get(place), theirs.get(place)) for place in places]


def differing(lines: Iterable[Comparison], tolerance: int = CENT // 2) -> list[Comparison]:
    """Those whose sums are further apart than an invoice's rounding explains."""
    return [line for line in lines if abs(line.difference) > tolerance]


def read_invoice(lines: Iterable[str]) -> Lines:
    """The sums of a CSV file. `InvalidRequestError` names the line that can't be read."""
    reader = csv.DictReader(lines)
    head = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = head
    day, model, cost = (
        _column(head, names, what)
        for names, what in (
            (DAY_NAMES, "the day"),
            (MODEL_NAMES, "the model"),
            (COST_NAMES, "the cost in dollars"),
        )
    )
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in reader:
        place = (_day(row[day], reader.line_num), (row[model] or "").strip())
        sums[place] += _nano(row[cost], reader.line_num)
    return dict(sums)


def _column(head: Sequence[str], names: Sequence[str], what: str) -> str:
    for name in names:
        if name in head:
            return name
    raise InvalidRequestError(f"line 1: no column for {what}; it may be called {', '.join(names)}")


def _day(text: str | None, line: int) -> str:
    try:
        return date.fromisoformat((text or "").strip()[:10]).isoformat()
    except ValueError:
        raise InvalidRequestError(
            f"line {line}: expected a day such as 2026-10-05, got {str(text)[:40]!r}"
        ) from None


def _nano(text: str | None, line: int) -> int:
    amount = _decimal((text or "").strip().removeprefix("$").replace(",", ""))
    if amount is None or not amount.is_finite() or abs(amount) > 10**9:
        raise InvalidRequestError(
            f"line {line}: expected dollars such as 12.34, got {str(text)[:40]!r}"
        )
    return round(amount * 10**9)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None

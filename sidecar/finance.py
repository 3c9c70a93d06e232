"""What an operator and finance can ask about money, over the two ledgers.

The ledger of requests tells who asked for what and what was saved; the money journal tells
what was charged and adds up with the budgets to the nano-dollar. Sums are told as decimal
dollars in text, so that no reader rounds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

from sidecar.budget.closing import charges, close
from sidecar.budget.local import LocalBudgets
from sidecar.budget.money import nano_of, told
from sidecar.budget.schema import Row
from sidecar.budget.status import AccountStatus
from sidecar.clock import Clock
from sidecar.domain import Json
from sidecar.errors import InvalidRequestError
from sidecar.usage.asking import read_query
from sidecar.usage.period import month, zone_of
from sidecar.usage.reader import usage

MOST_USD = 10**6
MOST_LISTED = 10_000
_LISTED = (
    "id", "request", "tenant", "user", "feature", "department", "asked_model", "provider",
    "model", "kind",
)  # fmt: skip
_TOLD = (*_LISTED, "at", "charged_usd")


class Finance:
    """Answers the admin plane and the command line. `requests` and `journal` are the files."""

    def __init__(self, budgets: LocalBudgets, requests: Path, journal: Path, clock: Clock) -> None:
        self._budgets = budgets
        self._requests = requests
        self._journal = journal
        self._clock = clock

    async def usage(self, options: Mapping[str, str]) -> Mapping[str, Json]:
        """The report of a period, grouped as asked: see `usage.asking`."""
        query = read_query(options, self._clock.now())
        return await asyncio.to_thread(usage, self._requests, query)

    async def charges(self, options: Mapping[str, str]) -> Mapping[str, Json]:
        """The charges of the days `from` to `to`, both included, of one `provider` or all."""
        known(options, "from", "to", "timezone", "provider")
        zone = zone_of(options.get("timezone", "UTC"))
        since = datetime.combine(day(options, "from"), datetime.min.time(), zone)
        until = datetime.combine(day(options, "to") + timedelta(1), datetime.min.time(), zone)
        await self._budgets.flush()
        rows = await asyncio.to_thread(
            charges,
            self._journal,
            since.timestamp(),
            until.timestamp(),
            zone,
            options.get("provider", ""),
        )
        return {"rows": rows}

    async def closing(self, options: Mapping[str, str]) -> Mapping[str, Json]:
        """All charges of a `month`, and how they add up with the budgets."""
        known(options, "month", "timezone", "format")
        zone = zone_of(options.get("timezone", "UTC"))
        since, until = month(options.get("month", ""), zone)
        await self._budgets.flush()
        told_ = await asyncio.to_thread(close, self._journal, since, until, zone)
        return {"month": options["month"], **told_}

    async def budgets(self) -> Mapping[str, Json]:
        """Each budget's accounts in the windows that run now."""
        return {
            "budgets": [account_told(status) for status in self._budgets.status()],
            "failure": self._budgets.failure,
            "clock_ahead_s": round(self._budgets.ahead_s, 1),
        }

    async def unsettled(self) -> Mapping[str, Json]:
        """The charges that only a bound vouches for, the oldest first."""
        rows = await self._budgets.unsettled(MOST_LISTED)
        return {"columns": list(_TOLD), "rows": [charge_told(row) for row in rows]}

    async def reconcile(self, charge: str, cost_usd: str, note: str) -> Mapping[str, Json]:
        """Put the real cost in the place of what was charged by a bound or an estimate."""
        done = await self._budgets.reconcile(charge, dollars(cost_usd), note)
        return {
            "charge": done.id,
            "charged_usd": told(done.charged),
            "cost_usd": told(done.real),
            "difference_usd": told(done.nano),
        }


def account_told(status: AccountStatus) -> dict[str, Json]:
    """One account, as JSON."""
    return {
        "budget": status.budget,
        "each": status.each,
        "starts_at": moment(status.start),
        "resets_at": moment(status.end),
        "limit_usd": told(status.limit),
        "spent_usd": told(status.committed),
        "held_usd": told(status.held),
        "remaining_usd": told(status.remaining),
        "unsettled_usd": told(status.unsettled),
        "unsettled": status.doubts,
        "step": status.step.do.value if status.step else "",
        "burn_usd_per_hour": told(status.burn_per_hour),
        "forecast_usd": told(status.forecast),
    }


def charge_told(row: Row) -> dict[str, Json]:
    """One charge, as JSON."""
    record = row._asdict()
    return {
        **{name: record[name] for name in _LISTED},
        "at": moment(row.at),
        "charged_usd": told(row.nano),
    }


def dollars(text: str) -> int:
    """Nano-dollars of a decimal text; `InvalidRequestError` where it is no amount."""
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal(-1)
    if not (amount.is_finite() and 0 <= amount <= MOST_USD):
        raise InvalidRequestError(
            f"expected dollars such as 0.0123, got {text[:40]!r}", param="cost_usd"
        )
    return nano_of(amount)


def day(options: Mapping[str, str], name: str) -> date:
    """A day such as 2026-10-05."""
    text = options.get(name, "")
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if not 1970 <= found.year < 9999:  # there must be a day after it
        raise InvalidRequestError(
            f"{name}: expected a day such as 2026-10-05, got {text[:40]!r}", param=name
        )
    return found


def known(options: Mapping[str, str], *names: str) -> None:
    """Refuse an option that there is none of."""
    for name in options:
        if name not in names:
            raise InvalidRequestError(
                f"no option {name[:40]!r}; there are: {', '.join(names)}", param=name
            )


def moment(at: float) -> str:
    """A time in UTC, as ISO 8601 has it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

"""What the tests of the budgets are made of."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

from sidecar.budget.hold import Hold
from sidecar.budget.local import LocalBudgets
from sidecar.budget.price import Tokens
from sidecar.budget.terms import (
    Account,
    Budget,
    Charge,
    ChargeKind,
    Payer,
    Spending,
    Step,
    StepKind,
)
from sidecar.budget.windows import WindowKind
from sidecar.clock import Clock, ManualClock

NOON = 1_700_049_600.0
"""2023-11-15 12:00 UTC."""
DAY = 86_400
UTC = ZoneInfo("UTC")
ANN = Payer(tenant="shop", user="ann", feature="faq", department="support")
BOB = Payer(tenant="shop", user="bob", feature="faq", department="support")
LADDER = (
    Step(Fraction(8, 10), StepKind.USE_VARIANT, "cheap"),
    Step(Fraction(95, 100), StepKind.CACHE_ONLY),
    Step(Fraction(1), StepKind.REJECT),
)


class SplitClock:
    """A clock whose wall can be set without time passing."""

    def __init__(self, now: float = NOON) -> None:
        self.wall = now
        self.passed = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return self.wall

    def tick(self) -> float:
        """Seconds since the start."""
        return self.passed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.passed += seconds


def budget(name: str = "all", limit: int = 100, **changes: object) -> Budget:
    """A daily budget for everyone."""
    fields = {"window": WindowKind.DAY, "zone": UTC, "match": {}, **changes}
    return Budget(name, limit, **fields)


def account(name: str = "all", limit: int = 100, *, each: str = "", day: int = 0) -> Account:
    """The account of such a budget, so many days after the first."""
    start = int(NOON) - DAY // 2 + day * DAY
    return Account(name, each, start, start + DAY, limit)


def spending(number: int = 1, amount: int = 10, payer: Payer = ANN, **changes: str) -> Spending:
    """The first attempt of a request."""
    fields = {"asked_model": "gpt-4o", "provider": "openai", "model": "gpt-4o", **changes}
    return Spending(f"req_{number}:1", f"req_{number}", payer, amount=amount, **fields)


def actual(nano: int) -> Charge:
    """A charge by the provider's word."""
    return Charge(nano, ChargeKind.ACTUAL, Tokens(input=7, output=3), "gpt-4o-2024-11-20")


def settled(hold: Hold, nano: int) -> bool:
    """Settle it so."""
    return hold.settle(actual(nano))


def money(budgets: LocalBudgets, name: str = "all", each: str = "") -> tuple[int, int]:
    """What is committed and held on an account."""
    (found,) = [s for s in budgets.status() if (s.budget, s.each) == (name, each)]
    return found.committed, found.held


@asynccontextmanager
async def opened(
    path: Path, budgets: Sequence[Budget] = (), clock: Clock | None = None
) -> AsyncIterator[LocalBudgets]:
    """Budgets in use, closed in order at the end."""
    budgets_ = LocalBudgets(path, clock or ManualClock(NOON))
    budgets_.configure(budgets)
    budgets_.open()
    try:
        yield budgets_
    finally:
        await budgets_.close()


def copied(path: Path, folder: Path) -> Path:
    """The files as a kill would leave them, in another folder."""
    folder.mkdir(parents=True)
    for suffix in ("", "-wal"):
        source = Path(f"{path}{suffix}")
        if source.exists():
            shutil.copy(source, folder)
    return folder / path.name

"""How the accounts of a window stand, for whoever asks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.budget.ladder import step_at
from sidecar.budget.ledger import Balance
from sidecar.budget.pace import Pace
from sidecar.budget.terms import Account, Budget, Step
from sidecar.budget.windows import Window


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account in its window that runs; money in nano-dollars, times in Unix seconds.

    `unsettled` is the part of `committed` that only a bound vouches for, in `doubts`
    charges. `remaining` is what may still be held; it is negative where calls cost more than
    their bounds. `burn_per_hour` and `forecast` (at the window's end) as in `pace`.
    """

    budget: str
    each: str
    start: int
    end: int
    limit: int
    committed: int
    held: int
    unsettled: int
    doubts: int
    remaining: int
    step: Step | None
    burn_per_hour: int
    forecast: int


def running(budget: Budget, window: Window, each: str) -> Account:
    """A budget's account in that window."""
    return Account(budget.name, each, window.start, window.end, budget.limit)


def is_running(account: Account, budget: Budget, window: Window) -> bool:
    """Whether it is one of the budget's accounts in that window."""
    key = (account.budget, account.start, account.end)
    return key == (budget.name, window.start, window.end)


def status_of(
    account: Account, budget: Budget, balance: Balance, pace: Pace, now: float
) -> AccountStatus:
    """How an account stands at that moment."""
    return AccountStatus(
        account.budget,
        account.each,
        account.start,
        account.end,
        account.limit,
        balance.committed,
        balance.held,
        balance.unsettled,
        balance.doubts,
        account.limit - balance.committed - balance.held,
        step_at(budget.ladder, balance.committed, account.limit),
        pace.per_hour(now, balance.committed),
        pace.forecast(now, balance.committed),
    )

"""What a caller is told whose money is not held."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sidecar.budget.ledger import Refusal
from sidecar.budget.money import told
from sidecar.budget.terms import Account, Budget, Step, StepKind
from sidecar.errors import SidecarError
from sidecar.money_errors import BudgetBusyError, BudgetExceededError, BudgetUnavailableError


def refused(refusal: Refusal, budget: Budget) -> SidecarError:
    """402 where the money is spent, 429 where only calls in flight stand in the way."""
    detail = described(refusal.account, budget, refusal.spent)
    name, limit = _named(refusal.account), told(refusal.account.limit)
    if refusal.busy:
        return BudgetBusyError(
            f"{name} has ${told(refusal.held)} of its ${limit} held for calls in flight,"
            f" and this one may cost up to ${told(refusal.amount)}: try again in a moment",
            detail=detail,
            headers={"retry-after": "1"},
        )
    return BudgetExceededError(
        f"{name} has spent ${told(refusal.spent)} of its ${limit} this {budget.window.value},"
        f" and this call may cost up to ${told(refusal.amount)};"
        f" it starts anew at {detail['resets_at']}",
        detail=detail,
    )


def stopped(step: Step, account: Account, budget: Budget, spent: int) -> BudgetExceededError:
    """402 where a step of the ladder keeps a call from providers."""
    detail = {**described(account, budget, spent), "step": step.do.value}
    given = ", and only cached answers are given" if step.do is StepKind.CACHE_ONLY else ""
    return BudgetExceededError(
        f"{_named(account)} has spent ${told(spent)} of its ${told(account.limit)} this"
        f" {budget.window.value}{given} until {detail['resets_at']}",
        detail=detail,
    )


def unavailable(why: object) -> BudgetUnavailableError:
    """503: a broken budget is a refusal."""
    return BudgetUnavailableError(f"what is spent can't be looked up or written down: {why}")


def described(account: Account, budget: Budget, spent: int) -> dict[str, Any]:
    """An account as an error's body tells of it."""
    return {
        "budget": account.budget,
        "window": budget.window.value,
        "limit_usd": told(account.limit),
        "spent_usd": told(spent),
        "resets_at": datetime.fromtimestamp(account.end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _named(account: Account) -> str:
    return f"budget {account.budget}" + (f" ({account.each})" if account.each else "")

"""What a caller is told where a budget stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.errors import Origin, SidecarError


class BudgetError(SidecarError):
    """A budget stands in the way. `payer` says whose, so that others may try for themselves."""

    payer: object = None


class BudgetExceededError(BudgetError):
    """What is spent and what this may cost is more than a budget's limit."""

    status = 402
    code = "budget_exceeded"
    kind = "insufficient_quota"
    origin = Origin.CLIENT

    def __init__(self, message: str, *, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, detail=detail, headers={"x-should-retry": "false"})


class BudgetBusyError(BudgetError):
    """Only money that is held for calls in flight stands in the way."""

    status = 429
    code = "budget_busy"
    kind = "rate_limit_error"
    origin = Origin.CLIENT
    retryable = True


class BudgetUnavailableError(BudgetError):
    """It can't be told or written down what is spent, so nothing may be spent on a budget."""

    status = 503
    code = "budget_unavailable"
    origin = Origin.OPERATOR
    retryable = True

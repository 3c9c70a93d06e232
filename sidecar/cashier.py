"""Between the attempts of a call and the budgets: what one may cost is held before it is
sent, what it did cost is charged when it has ended, however it ends.

It knows prices, bounds and budgets, and makes one `Till` for each call that goes to
providers. The invariants: no attempt of a call that a budget matches is sent before its
worst case is held and journalled; each attempt is charged exactly once; what can't be
bounded or priced is not sent where a budget matches.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sidecar.bill import tokens_of
from sidecar.budget.local import LocalBudgets
from sidecar.budget.price import Price, cost
from sidecar.budget.prices import PriceTable
from sidecar.budget.terms import StepKind
from sidecar.domain import Call, Caller, Outcome, Usage
from sidecar.money_errors import (
    BudgetError,
)
from sidecar.till import Till, UnboundedError, payer_of
from sidecar.trail import Trail

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Vendor:
    """What prices need to know of a provider: its kind, and whether its models' names can be
    trusted to name their tokenizer too.
    """

    kind: str
    has_own_names: bool = False


NO_VENDOR = Vendor("")


@dataclass(frozen=True, slots=True)
class CashierSettings:
    """`vendors` are by the provider's name. `max_output_tokens` caps the output of calls that
    set no cap and that a budget matches.

    `charge_cancelled` is `bound` (the worst case) or `emitted` (what had come).
    """

    vendors: Mapping[str, Vendor]
    max_output_tokens: int = 4096
    charge_cancelled: str = "bound"


class Cashier:
    """One per process. `prices` and `settings` may be replaced at any time."""

    def __init__(
        self,
        budgets: LocalBudgets,
        prices: PriceTable,
        settings: CashierSettings,
    ) -> None:
        self.prices = prices
        self.settings = settings
        self.budgets = budgets

    def price_of(self, provider: str, model: str) -> Price | None:
        """What a provider's model costs; None where it is not known."""
        return self.prices.find(self.vendor(provider).kind, provider, model)

    def vendor(self, provider: str) -> Vendor:
        """What is known of a provider."""
        return self.settings.vendors.get(provider, NO_VENDOR)

    def variant(self, call: Call, trail: Trail) -> str:
        """The cheaper variant that a budget's ladder wants for this call; empty for none.

        Raises `BudgetExceededError` where the step is not to ask a provider at all.
        """
        found = self.budgets.step(payer_of(call.caller), call.request.model)
        if found is None:
            return ""
        step, account = found
        if step.do is StepKind.USE_VARIANT:
            return step.variant
        trail.degrade(step.do.value, {"budget": account.budget})
        raise self.budgets.stopped(step, account)

    def worth(self, provider: str, model: str, usage: Usage | None) -> int | None:
        """Nano-dollars that such an answer costs; None where that is not known."""
        price = self.price_of(provider, model)
        tokens = tokens_of(usage)
        return cost(price, tokens) if price and tokens else None

    def till(self, call: Call, trail: Trail) -> Till:
        """Where the attempts of one call are paid."""
        return Till(self, call, trail)


async def shared(trail: Trail, caller: Caller, board: Callable[[], Awaitable[R]]) -> R:
    """What a flight brings; where its leader's own budget has refused it, of another flight.

    That one caller's budget is empty is no word on those of the others who wait with it.
    """
    while True:
        try:
            return await board()
        except (BudgetError, UnboundedError) as error:
            has_led = trail.outcome is not Outcome.COALESCED
            if has_led or error.payer in (None, payer_of(caller)):
                raise
            trail.parted()

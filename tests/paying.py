"""What the tests of paying start from: a cashier, its prices, and calls to pay."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sidecar.budget.local import LocalBudgets
from sidecar.budget.prices import PriceTable
from sidecar.cashier import Cashier, CashierSettings, Vendor
from sidecar.clock import ManualClock
from sidecar.config.money import Price
from sidecar.domain import (
    Call,
    Caller,
    ChatRequest,
    Completion,
    Endpoint,
    Message,
    Role,
    Text,
    Usage,
)
from sidecar.route.table import Target
from sidecar.route.wishes import Paid
from sidecar.till import Till
from sidecar.trail import Trail

ANN = Caller(tenant="shop", user="ann", feature="faq", department="support")
BOB = Caller(tenant="shop", user="bob", feature="faq", department="sales")
PRICES = {
    "gpt-4o": Price(input=Decimal(1), output=Decimal(10)),
    "dear": Price(input=Decimal(10), output=Decimal(100)),
}
VENDORS = {
    "own": Vendor("openai", has_own_names=True),
    "alike": Vendor("openai"),
    "claude": Vendor("anthropic"),
}
OWN, ALIKE = Target("own", "gpt-4o"), Target("alike", "gpt-4o")
PLENTY = 10**12
USAGE = Usage(10, 5)
COST = 10 * 1_000 + 5 * 10_000


class Desk:
    """A cashier with these budgets, and calls to pay."""

    def __init__(self, budgets: LocalBudgets, clock: ManualClock) -> None:
        self.budgets = budgets
        self.clock = clock
        settings = CashierSettings(VENDORS, max_output_tokens=50)
        self.cashier = Cashier(budgets, PriceTable(PRICES), settings)
        self._calls = 0

    def call(self, caller: Caller = ANN, model: str = "gpt-4o") -> Call:
        """A call with an id of its own."""
        self._calls += 1
        return Call(f"r{self._calls}", Endpoint.CHAT, asked(model=model), caller)

    def trail(self, call: Call | None = None) -> Trail:
        """The trail of a call."""
        return Trail(call or self.call(), self.clock)

    def till(self, caller: Caller = ANN, model: str = "gpt-4o") -> Till:
        """Where a call is paid."""
        call = self.call(caller, model)
        return self.cashier.till(call, self.trail(call))


def asked(text: str = "hi", *, model: str = "gpt-4o", **parameters: Any) -> ChatRequest:
    """A question with a cap of 20 tokens, or these parameters."""
    parameters = parameters or {"max_tokens": 20}
    return ChatRequest(model, (Message(Role.USER, (Text(text),)),), parameters=parameters)


def answer(usage: Usage | None = USAGE) -> Completion:
    """A whole one."""
    return Completion("c", 0, "gpt-4o", (), usage)


async def paid(till: Till, target: Target = OWN, request: ChatRequest | None = None) -> Paid:
    """One attempt that is answered."""
    async with till.attempt(target, request or asked()) as bill:
        bill.answered(answer())
    return till.paid

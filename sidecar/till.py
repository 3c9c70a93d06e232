"""Where the attempts of one call are paid: each is held before it is sent, and charged once.

What can't be bounded or priced is not sent where a budget matches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from sidecar.bill import Bill, Terms
from sidecar.budget.money import told
from sidecar.budget.price import Price
from sidecar.budget.terms import MAX_NANO, Account, Payer, Spending
from sidecar.context.bounds import embedding_bound, exact_bound, input_bound, output_bound, with_cap
from sidecar.domain import NOTHING, Call, Caller, ChatRequest, Endpoint, Json
from sidecar.errors import InvalidRequestError, UpstreamError
from sidecar.money_errors import (
    BudgetBusyError,
    BudgetError,
    BudgetExceededError,
    BudgetUnavailableError,
)
from sidecar.route.table import Target
from sidecar.route.wishes import FREE
from sidecar.trail import Trail
from sidecar.wire.embeddings import Item

if TYPE_CHECKING:
    from sidecar.cashier import Cashier

E = TypeVar("E", BudgetError, "UnboundedError")


class UnboundedError(InvalidRequestError):
    """What a call may cost has no bound, and a budget is to be kept. `payer` says whose."""

    payer: Payer | None = None


class Till:
    """Pays the attempts of one call, one after the other. `paid` is what the last has cost."""

    def __init__(self, cashier: Cashier, call: Call, trail: Trail) -> None:
        self.paid = FREE
        self._cashier = cashier
        self._call = call
        self._trail = trail
        self._payer = payer_of(call.caller)
        self._attempts = 0

    def attempt(self, target: Target, request: ChatRequest) -> AbstractAsyncContextManager[Bill]:
        """Hold what an attempt may cost; it is charged when this is left.

        Raises `BudgetExceededError`, `BudgetBusyError` or `BudgetUnavailableError`; then
        nothing may be sent.
        """
        return self._paid(
            target, lambda price: self._terms_of_chat(price, request, target), request
        )

    def embedding(
        self, target: Target, items: Sequence[Item], parameters: Mapping[str, Json] = NOTHING
    ) -> AbstractAsyncContextManager[Bill]:
        """The same for the embeddings of these items."""
        request = self._call.request

        def terms(price: Price) -> Terms:
            return Terms(price, request, embedding_bound(items, parameters), 0)

        return self._paid(target, terms, request)

    def refused(self) -> None:
        """An attempt is not even made: it has cost nothing."""
        self.paid = FREE

    def _paid(
        self, target: Target, terms: Callable[[Price], Terms], request: ChatRequest
    ) -> AbstractAsyncContextManager[Bill]:
        self._attempts += 1
        self.paid = FREE
        return _Attempt(self, target, terms, request)

    async def begin(
        self, target: Target, terms: Callable[[Price], Terms], request: ChatRequest
    ) -> Bill:
        """Hold what this attempt may cost."""
        since = self._trail.tick()
        try:
            return await self._open(target, terms, request)
        finally:
            self._trail.spent("reserve", since)

    def end(self, bill: Bill) -> None:
        """Charge what it has cost."""
        since = self._trail.tick()
        self.paid = bill.close()
        self._trail.spent("settle", since)

    async def _open(
        self, target: Target, terms: Callable[[Price], Terms], request: ChatRequest
    ) -> Bill:
        cashier, asked = self._cashier, self._call.request.model
        price = cashier.price_of(target.provider, target.model)
        accounts = cashier.budgets.matched(self._payer, asked, target.model)
        if not accounts:  # nobody limits it; it is still recorded what it cost
            hold = cashier.budgets.unlimited(self._spending(target, 0))
            return Bill(hold, self._unlimited(price, terms, request))
        if price is None:
            raise self._named(unpriced(target, accounts[0]))
        bounded = self._bounded(price, terms)
        if bounded.worst > MAX_NANO:
            raise self._named(beyond_all(accounts[0], bounded.worst))
        return await self._held(target, bounded)

    def _unlimited(
        self, price: Price | None, terms: Callable[[Price], Terms], request: ChatRequest
    ) -> Terms:
        """Of a chat nothing is bounded nor capped; of embeddings the bound costs nothing."""
        is_chat = self._call.endpoint is not Endpoint.EMBEDDINGS
        return Terms(price, request) if price is None or is_chat else terms(price)

    def _bounded(self, price: Price, terms: Callable[[Price], Terms]) -> Terms:
        try:
            return terms(price)
        except InvalidRequestError as error:
            raise self._named(UnboundedError(error.message, param=error.param)) from error

    def _named(self, error: E) -> E:
        error.payer = self._payer
        return error

    def _terms_of_chat(self, price: Price, request: ChatRequest, target: Target) -> Terms:
        settings, vendor = self._cashier.settings, self._cashier.vendor(target.provider)
        # A provider refuses a cap that is more than its model can write.
        cap = min(filter(None, (settings.max_output_tokens, price.max_output_tokens)))
        speaks_alike = vendor.kind == "openai" and not vendor.has_own_names
        capped = with_cap(request, cap, target.model, only_speaks_alike=speaks_alike)
        entered = input_bound(capped, window=price.max_input_tokens, model=target.model)
        return Terms(price, capped, entered, output_bound(capped, cap), settings.charge_cancelled)

    async def _held(self, target: Target, terms: Terms) -> Bill:
        try:
            return await self._reserve(target, terms)
        except (BudgetExceededError, BudgetBusyError):
            if not self._cashier.vendor(target.provider).has_own_names or not terms.output_tokens:
                raise
            closer = await asyncio.to_thread(exact_bound, terms.request, target.model)
            if closer is None or closer >= (terms.input_tokens or 0):
                raise
        # The cheap bound counts bytes; by the tokens themselves there may be room.
        return await self._reserve(target, terms.with_input(closer))

    async def _reserve(self, target: Target, terms: Terms) -> Bill:
        spending = self._spending(target, terms.worst)
        try:
            return Bill(await self._cashier.budgets.reserve(spending), terms)
        except BudgetError as error:
            raise self._named(error) from None

    def _spending(self, target: Target, amount: int) -> Spending:
        return Spending(
            id=f"{self._call.id}:{self._attempts}",
            request=self._call.id,
            payer=self._payer,
            asked_model=self._call.request.model,
            provider=target.provider,
            model=target.model,
            amount=amount,
        )


class _Attempt:
    """One attempt, from its hold to its charge. A class, for a generator takes twice the time."""

    __slots__ = ("_bill", "_request", "_target", "_terms", "_till")

    def __init__(
        self,
        till: Till,
        target: Target,
        terms: Callable[[Price], Terms],
        request: ChatRequest,
    ) -> None:
        self._till = till
        self._target = target
        self._terms = terms
        self._request = request
        self._bill: Bill | None = None

    async def __aenter__(self) -> Bill:
        self._bill = bill = await self._till.begin(self._target, self._terms, self._request)
        return bill

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        bill = self._bill
        if bill is None:
            raise AssertionError("left before it was entered")
        try:
            if isinstance(error, UpstreamError):
                bill.failed(error)
            elif isinstance(error, InvalidRequestError):
                bill.unsent()
        finally:
            self._till.end(bill)


def payer_of(caller: Caller) -> Payer:
    """Who pays, of all that is known of a caller."""
    return Payer(caller.tenant, caller.user, caller.feature, caller.department)


def unpriced(target: Target, account: Account) -> BudgetUnavailableError:
    """Nobody can tell what it would cost, and a budget is to be kept."""
    return BudgetUnavailableError(
        f"no price is known for {target.model} of {target.provider}, and the budget "
        f"{account.budget} pays for this call: set prices.{target.model} in the config",
        headers={"x-should-retry": "false"},
    )


def beyond_all(account: Account, amount: int) -> BudgetExceededError:
    """More than any budget can hold, such as for a cap of a trillion tokens."""
    return BudgetExceededError(
        f"this call may cost up to ${told(amount)}, and the budget {account.budget} has "
        f"${told(account.limit)}: ask for fewer tokens",
        detail={"budget": account.budget, "limit_usd": told(account.limit)},
    )

"""The admin plane's part on money: usage, closings, budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from sidecar.domain import Json
from sidecar.errors import InvalidRequestError
from sidecar.web.answers import answer, table
from sidecar.web.checks import read_json_body
from sidecar.wire.body import read_object


class MoneyOperations(Protocol):
    """What an operator can see and do about money. Sums are decimal dollars, as text."""

    async def usage(self, options: Mapping[str, str]) -> Mapping[str, Json]:
        """The report of a period, grouped as asked."""
        ...

    async def closing(self, options: Mapping[str, str]) -> Mapping[str, Json]:
        """All charges of a month, and how they add up with the budgets."""
        ...

    async def charges(self, options: Mapping[str, str]) -> Mapping[str, Json]:
        """The charges of some days, by day, tags, provider and model."""
        ...

    async def budgets(self) -> Mapping[str, Json]:
        """Each budget: limit, spent, held, burn rate, forecast."""
        ...

    async def unsettled(self) -> Mapping[str, Json]:
        """The charges that are a bound, since no provider has told what was used."""
        ...

    async def reconcile(self, charge: str, cost_usd: str, note: str) -> Mapping[str, Json]:
        """Put the real cost in the place of a bound."""
        ...


def add_money(app: web.Application, operations: MoneyOperations) -> None:
    """Serve these paths too."""
    money = MoneyHandlers(operations)
    app.router.add_get("/api/usage", money.usage)
    app.router.add_get("/api/usage/closing", money.closing)
    app.router.add_get("/api/usage/charges", money.charges)
    app.router.add_get("/api/budgets", money.budgets)
    app.router.add_get("/api/budgets/unsettled", money.unsettled)
    app.router.add_post("/api/budgets/reconcile", money.reconcile)


class MoneyHandlers:
    """One method for each path."""

    def __init__(self, operations: MoneyOperations) -> None:
        self._operations = operations

    async def usage(self, request: web.Request) -> web.Response:
        """Who asked for what, what it cost and what was saved."""
        report = await self._operations.usage(read_options(request))
        rows = report["rows"] if report["by"] else [report["total"]]
        return table(request, report, rows, (*report["by"], *report["total"]))

    async def closing(self, request: web.Request) -> web.Response:
        """A month's charges, and how they add up with the budgets."""
        report = await self._operations.closing(read_options(request))
        return table(request, report, report["rows"], report["columns"])

    async def charges(self, request: web.Request) -> web.Response:
        """The charges of some days, for whoever compares them with an invoice."""
        return answer(await self._operations.charges(read_options(request)))

    async def budgets(self, _: web.Request) -> web.Response:
        """Each budget as it stands now."""
        return answer(await self._operations.budgets())

    async def unsettled(self, request: web.Request) -> web.Response:
        """The charges that wait for a provider's word."""
        report = await self._operations.unsettled()
        return table(request, report, report["rows"], report["columns"])

    async def reconcile(self, request: web.Request) -> web.Response:
        """Put the real cost in the place of a bound."""
        body = read_object(await read_json_body(request))
        charge, cost, note = body.get("charge"), body.get("cost_usd"), body.get("note", "")
        if not (isinstance(charge, str) and isinstance(cost, str) and isinstance(note, str)):
            told = 'send {"charge": "req_…:1", "cost_usd": "0.0123", "note": "…"}, all texts'
            raise InvalidRequestError(told, param="charge")
        return answer(await self._operations.reconcile(charge, cost, note))


def read_options(request: web.Request) -> dict[str, str]:
    """The query of a URL; `InvalidRequestError` where a name comes twice."""
    options = dict(request.query)
    if len(options) < len(request.query):
        raise InvalidRequestError("give each option once; join groups by a comma")
    return options

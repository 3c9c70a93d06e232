"""What attempts hold and are charged: by real budgets on a real journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.budget.prices import PriceTable
from sidecar.budget.terms import Budget
from sidecar.clock import ManualClock
from sidecar.errors import InvalidRequestError, UpstreamError
from sidecar.money_errors import (
    BudgetBusyError,
    BudgetError,
    BudgetExceededError,
)
from sidecar.route.table import Target
from sidecar.route.wishes import Paid
from sidecar.till import payer_of
from tests.budget.making import DAY, NOON, budget, money, opened
from tests.paying import ALIKE, ANN, BOB, COST, OWN, PLENTY, PRICES, Desk, answer, asked, paid


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Open a desk with these budgets; it is closed with the test."""
    async with AsyncExitStack() as stack:

        async def open_(*budgets: Budget) -> Desk:
            clock = ManualClock(NOON)
            made = opened(tmp_path / "money.sqlite", budgets, clock)
            return Desk(await stack.enter_async_context(made), clock)

        yield open_


async def test_the_worst_is_held_before_and_the_cost_charged_after(desk) -> None:
    """And `paid` tells it."""
    at = await desk(budget(limit=PLENTY))
    till = at.till()
    async with till.attempt(OWN, asked()) as bill:
        committed, held = money(at.budgets)
        assert committed == 0
        assert held == bill.terms.worst >= COST
        bill.answered(answer())
    assert (till.paid, money(at.budgets)) == (Paid(COST), (COST, 0))


async def test_each_attempt_is_charged_for_itself(desk) -> None:
    """One that nobody knows the cost of in full, one that failed not at all."""
    at = await desk(budget(limit=PLENTY))
    till, costs = at.till(), []
    for reason, status in (("timeout_total", None), ("status_500", 500)):
        with pytest.raises(UpstreamError):
            async with till.attempt(OWN, asked()) as bill:
                raise UpstreamError("no", reason=reason, upstream_status=status)
        costs.append(till.paid)
    assert costs == [Paid(bill.terms.worst, estimated=True), Paid(0)]
    await paid(till)
    assert money(at.budgets) == (bill.terms.worst + COST, 0)


async def test_what_cannot_be_said_is_never_sent_and_costs_nothing(desk) -> None:
    """A provider that has no words for it says so before it sends."""
    at = await desk(budget(limit=PLENTY))
    till = at.till()
    with pytest.raises(InvalidRequestError):
        async with till.attempt(OWN, asked()):
            raise InvalidRequestError("no words")
    assert (till.paid, money(at.budgets)) == (Paid(0), (0, 0))


@pytest.mark.parametrize("steps", range(12))
async def test_a_call_that_is_cancelled_at_any_await_leaves_nothing_held(desk, steps) -> None:
    """Free until its money is held; from then on it may have been sent."""
    at = await desk(budget(limit=PLENTY))
    sent, worst = asyncio.Event(), 0

    async def attempt() -> None:
        nonlocal worst
        async with at.till().attempt(OWN, asked()) as bill:
            worst = bill.terms.worst
            sent.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(attempt())
    if steps == 11:
        await sent.wait()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert money(at.budgets) == (worst if sent.is_set() else 0, 0)


async def test_a_caller_who_leaves_while_its_tokens_are_counted_leaves_nothing(desk) -> None:
    """That happens in a thread, between two holds."""
    at = await desk(budget(limit=10))
    task = asyncio.create_task(paid(at.till(), OWN, asked("word " * 5_000)))
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, BudgetError)):
        await task
    assert money(at.budgets) == (0, 0)


async def test_money_that_others_hold_is_busy_and_spent_money_is_not(desk) -> None:
    """And the error knows whose it was."""
    at = await desk(budget(limit=900_000))
    async with at.till().attempt(ALIKE, asked()):
        with pytest.raises(BudgetBusyError) as busy:
            await paid(at.till(), ALIKE, asked())
        assert busy.value.payer == payer_of(ANN)
    with pytest.raises(BudgetExceededError):
        await paid(at.till(), ALIKE, asked("x", max_tokens=1_000))


async def test_a_call_is_settled_at_the_price_it_was_held_at(desk) -> None:
    """A reload meanwhile changes what comes after it."""
    at = await desk(budget(limit=PLENTY))
    till = at.till()
    async with till.attempt(OWN, asked()) as bill:
        at.cashier.prices = PriceTable({"gpt-4o": PRICES["dear"]})
        bill.answered(answer())
    assert till.paid == Paid(COST)
    assert await paid(at.till()) == Paid(10 * COST)


async def test_a_budget_that_is_gone_meanwhile_is_charged_all_the_same(desk) -> None:
    """When it is back, it knows."""
    at = await desk(budget(limit=PLENTY))
    async with at.till().attempt(OWN, asked()) as bill:
        at.budgets.configure(())
        bill.answered(answer())
    at.budgets.configure((budget(limit=PLENTY),))
    assert money(at.budgets) == (COST, 0)


async def test_a_window_that_ends_meanwhile_is_charged_all_the_same(desk) -> None:
    """The next begins with nothing."""
    at = await desk(budget(limit=PLENTY))
    async with at.till().attempt(OWN, asked()) as bill:
        at.clock.advance(DAY)
        bill.answered(answer())
    assert money(at.budgets) == (0, 0)
    (row,) = await at.budgets.charges(0, NOON + 2 * DAY)
    assert row.nano == COST


async def test_each_target_is_held_at_its_own_price(desk) -> None:
    """A dearer stand-in is refused where a cheap one was not."""
    at = await desk(budget(limit=1_500_000))
    till = at.till()
    await paid(till)
    with pytest.raises(BudgetExceededError):
        await paid(till, Target("own", "dear"))
    assert till.paid == Paid(0)


async def test_every_attempt_is_recorded_once(desk) -> None:
    """With a budget or without, under the call and the number of the attempt."""
    at = await desk(budget(limit=PLENTY, match={"department": "support"}))
    for caller in (ANN, BOB):
        till = at.till(caller)
        await paid(till)
        await paid(till)
    rows = await at.budgets.charges(0, NOON + DAY)
    assert [row.id for row in rows] == ["r1:1", "r1:2", "r2:1", "r2:2"]
    assert [row.nano for row in rows] == [COST] * 4
    assert all(isinstance(row.tokens, str) for row in rows)

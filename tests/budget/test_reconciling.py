"""What was charged by a bound is put right."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.budget.terms import Charge, ChargeKind
from sidecar.clock import ManualClock
from sidecar.errors import NotFoundError
from tests.budget.making import DAY, NOON, budget, money, opened, settled, spending


async def test_reconciling_replaces_a_bound_by_the_real_cost(path):
    """The account follows, the charge leaves the list, and the sum of the rows is the truth."""
    async with opened(path, [budget()]) as budgets:
        (await budgets.reserve(spending(1, 60))).close()
        difference = await budgets.reconcile("req_1:1", 45, "invoice 7")
        assert (difference.charged, difference.real, difference.nano) == (60, 45, -15)
        assert money(budgets) == (45, 0)
        assert await budgets.unsettled() == []
        charge, adjustment = await budgets.charges(0, NOON + 1)
        assert (charge.nano, adjustment.nano, adjustment.note) == (60, -15, "invoice 7")
        assert budgets.status()[0].unsettled == budgets.status()[0].doubts == 0
    async with opened(path, [budget()]) as budgets:
        assert money(budgets) == (45, 0)


async def test_reconciling_may_pass_the_limit(path):
    """The truth is not clamped."""
    async with opened(path, [budget()]) as budgets:
        (await budgets.reserve(spending(1, 60))).close()
        await budgets.reconcile("req_1:1", 150)
        assert budgets.status()[0].remaining == -50


async def test_only_what_is_no_providers_word_is_reconciled_and_once(path):
    """Not twice, not at the same time, not what was told, not what is in flight or unknown."""
    async with opened(path, [budget(limit=1000)]) as budgets:
        (await budgets.reserve(spending(1, 60))).close()
        both = (budgets.reconcile("req_1:1", cost) for cost in (10, 20))
        done = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(isinstance(each, NotFoundError) for each in done) == [False, True]
        told, flying = [await budgets.reserve(spending(n)) for n in (2, 3)]
        settled(told, 5)
        for charge in ("req_1:1", "req_2:1", "req_3:1", "req_4:1"):
            with pytest.raises(NotFoundError):
                await budgets.reconcile(charge, 1)
        settled(flying, 1)
        with pytest.raises(ValueError, match="no amount"):
            await budgets.reconcile("req_1:1", -1)


async def test_an_estimate_can_be_reconciled_but_is_not_listed(path):
    """What was seen to come is near the truth; an invoice may still correct it."""
    async with opened(path, [budget()]) as budgets:
        hold = await budgets.reserve(spending(1, 60))
        hold.settle(Charge(20, ChargeKind.EMITTED))
        assert await budgets.unsettled() == []
        assert (await budgets.reconcile("req_1:1", 25)).nano == 5
        assert money(budgets) == (25, 0)


async def test_a_charge_of_yesterday_is_reconciled_there(path):
    """In its own window, read from disk where memory has forgotten it."""
    clock = ManualClock(NOON)
    async with opened(path, [budget()], clock) as budgets:
        (await budgets.reserve(spending(1, 60))).close()
    clock.advance(DAY)
    async with opened(path, [budget()], clock) as budgets:
        await budgets.reconcile("req_1:1", 10)
        assert money(budgets) == (0, 0)
        clock.advance(-DAY)
        assert money(budgets) == (10, 0)

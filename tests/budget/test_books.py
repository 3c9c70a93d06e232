"""What is known in memory is bounded, and never newer or older than it seems."""

from __future__ import annotations

from sidecar.budget.books import MAX_ACCOUNTS, TIDY_S
from sidecar.budget.terms import Payer
from sidecar.clock import ManualClock
from tests.budget.making import DAY, LADDER, NOON, budget, money, opened, settled, spending


async def test_accounts_that_rest_are_forgotten_where_there_are_many(path):
    """A crowd of users takes no more memory than this; their money is on disk."""
    clock = ManualClock(NOON)
    own = budget("own", 10, each=("user",), ladder=LADDER)
    async with opened(path, [own], clock) as budgets:
        settled(await budgets.reserve(spending(1, 10)), 10)
        await budgets.flush()
        for number in range(MAX_ACCOUNTS + 1):
            budgets.step(Payer("", f"user-{number}", "", ""), "m")
        clock.advance(TIDY_S)
        settled(await budgets.reserve(spending(2, 10, Payer("", "zoe", "", ""))), 1)
        assert len(budgets._books.ledger) == 1
        assert money(budgets, "own", "user=ann") == (10, 0)


async def test_a_window_with_a_call_in_flight_is_not_forgotten(path):
    """Its hold must find its balance when it is settled."""
    clock = ManualClock(NOON)
    async with opened(path, [budget()], clock) as budgets:
        hold = await budgets.reserve(spending(1, 60))
        clock.advance(2 * DAY)
        settled(await budgets.reserve(spending(2, 60)), 1)
        settled(hold, 50)
        clock.advance(-2 * DAY)
        assert money(budgets) == (50, 0)


async def test_what_is_not_on_disk_yet_is_not_forgotten(path):
    """It could not be read again."""
    clock = ManualClock(NOON)
    async with opened(path, [budget()], clock) as budgets:
        hold = await budgets.reserve(spending(1, 60))
        settled(hold, 50)
        clock.advance(2 * DAY)
        budgets.unlimited(spending(2, 0)).close()
        clock.advance(-2 * DAY)
        assert money(budgets) == (50, 0)


async def test_asking_how_it_stands_leaves_nothing_behind(path):
    """Windows that nobody spends in are not remembered."""
    clock = ManualClock(NOON)
    async with opened(path, [budget()], clock) as budgets:
        for _ in range(10):
            assert len(budgets.status()) == 1
            clock.advance(DAY)
            await budgets.flush()
            settled(await budgets.reserve(spending(1, 1)), 1)
        assert len(budgets._books._paces) == 1
        assert len(budgets._books.ledger) == 1

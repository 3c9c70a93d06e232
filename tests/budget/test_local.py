"""Budgets in use: hold, settle, refuse, degrade."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

import pytest

from sidecar.budget.terms import Spending, StepKind
from sidecar.clock import ManualClock
from sidecar.money_errors import BudgetBusyError, BudgetExceededError
from tests.budget.making import (
    ANN,
    BOB,
    DAY,
    LADDER,
    NOON,
    SplitClock,
    account,
    actual,
    budget,
    money,
    opened,
    settled,
    spending,
)  # fmt: skip


async def test_a_hold_is_replaced_by_what_the_call_cost(path):
    """Held, then settled; what is left is there for others."""
    async with opened(path, [budget()]) as budgets:
        hold = await budgets.reserve(spending(amount=60))
        assert (hold.amount, hold.accounts) == (60, (account(),))
        assert money(budgets) == (0, 60)
        assert settled(hold, 20)
        assert money(budgets) == (20, 0)


async def test_settling_twice_charges_once(path):
    """The second is told that it came late, also by another way."""
    async with opened(path, [budget()]) as budgets:
        hold = await budgets.reserve(spending())
        assert settled(hold, 4)
        assert not settled(hold, 5)
        hold.close()
        assert money(budgets) == (4, 0)


async def test_a_settled_hold_has_no_say_in_another_one_of_its_name(path):
    """A retry under the same id is not settled by what is left of the first."""
    async with opened(path, [budget()]) as budgets:
        first = await budgets.reserve(spending())
        settled(first, 4)
        second = await budgets.reserve(spending())
        first.close()
        assert money(budgets) == (4, 10)
        settled(second, 1)


async def test_a_hold_that_is_left_is_charged_its_amount(path):
    """Nobody knows what it cost: the bound, and in doubt."""
    async with opened(path, [budget()]) as budgets:
        with pytest.raises(RuntimeError), await budgets.reserve(spending(amount=30)):
            raise RuntimeError
        assert money(budgets) == (30, 0)
        (doubtful,) = await budgets.unsettled()
        assert (doubtful.id, doubtful.nano, doubtful.kind) == ("req_1:1", 30, "bound")


async def test_a_hold_that_is_dropped_is_charged_its_amount(path):
    """Collected without a word: on the loop's next turn."""
    async with opened(path, [budget()]) as budgets:
        await budgets.reserve(spending(amount=30))
        await asyncio.sleep(0)
        assert money(budgets) == (30, 0)


async def test_a_thousand_at_once_hold_what_there_is_room_for(path):
    """Exactly ten of them; when those have cost little, others may follow."""
    async with opened(path, [budget(limit=109)]) as budgets:
        asked = (budgets.reserve(spending(n, 10)) for n in range(1000))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        holds = [each for each in outcomes if not isinstance(each, Exception)]
        assert len(holds) == 10
        assert {type(each) for each in outcomes if each not in holds} == {BudgetBusyError}
        assert all(settled(hold, 1) for hold in holds)
        again = (budgets.reserve(spending(n, 10)) for n in range(1000, 2000))
        outcomes = await asyncio.gather(*again, return_exceptions=True)
        assert sum(not isinstance(each, Exception) for each in outcomes) == 9
        del holds, outcomes


async def test_spent_money_is_402_and_says_all_about_it(path):
    """Budget, window, limit, spent, reset; and that asking again does not help."""
    async with opened(path, [budget(limit=10**9, zone=ZoneInfo("Asia/Kathmandu"))]) as budgets:
        settled(await budgets.reserve(spending(1, 10)), 10**9 - 5)
        with pytest.raises(BudgetExceededError, match="this day") as caught:
            await budgets.reserve(spending(2, 6))
        error = caught.value
        assert (error.status, error.code) == (402, "budget_exceeded")
        assert error.headers == {"x-should-retry": "false"}
        assert error.detail == {
            "budget": "all", "window": "day", "limit_usd": "1", "spent_usd": "0.999999995",
            "resets_at": "2023-11-15T18:15:00Z",
        }  # fmt: skip


async def test_held_money_is_429_and_asks_to_come_again(path):
    """The calls in flight may cost less than they might."""
    async with opened(path, [budget()]) as budgets:
        hold = await budgets.reserve(spending(1, 60))
        with pytest.raises(BudgetBusyError) as caught:
            await budgets.reserve(spending(2, 60))
        assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "1"})
        settled(hold, 40)
        assert settled(await budgets.reserve(spending(2, 60)), 1)


async def test_all_budgets_that_match_pay(path):
    """Each value its own account; who is refused by one takes from none."""
    budgets_ = [budget("all", 100), budget("own", 30, each=("user",))]
    async with opened(path, budgets_) as budgets:
        settled(await budgets.reserve(spending(1, 30, ANN)), 30)
        with pytest.raises(BudgetExceededError, match=r"own \(user=ann\)"):
            await budgets.reserve(spending(2, 1, ANN))
        settled(await budgets.reserve(spending(3, 30, BOB)), 20)
        assert money(budgets) == (50, 0)
        assert money(budgets, "own", "user=bob") == (20, 0)


async def test_a_call_without_a_budget_is_recorded_all_the_same(path):
    """It waits for nothing, and its charge is in the journal."""
    async with opened(path) as budgets:
        hold = budgets.unlimited(spending(1, 0))
        other = await budgets.reserve(spending(2, 0))
        assert hold.accounts == other.accounts == ()
        assert settled(hold, 5)
        assert settled(other, 6)
        assert [row.nano for row in await budgets.charges(0, NOON + 1)] == [5, 6]


async def test_a_charge_tells_all_that_a_closing_needs(path):
    """Who, what, when, by whom, how many tokens, how much, on which accounts."""
    clock = ManualClock(NOON)
    async with opened(path, [budget()], clock) as budgets:
        hold = await budgets.reserve(spending(model="gpt-4o-eu", amount=9))
        clock.advance(2)
        settled(hold, 5)
        (row,) = await budgets.charges(NOON, NOON + 1)
    assert row._asdict() == {
        "seq": 1, "id": "req_1:1", "request": "req_1", "at": NOON, "settled_at": NOON + 2,
        "tenant": "shop", "user": "ann", "feature": "faq", "department": "support",
        "asked_model": "gpt-4o", "provider": "openai", "model": "gpt-4o-eu",
        "answered_model": "gpt-4o-2024-11-20", "kind": "actual",
        "tokens": '{"input":7,"output":3,"cached_input":0,"cache_write":0,"reasoning":0,'
        '"cache_write_long":0}',
        "amount": 9, "nano": 5, "unsettled": 0, "doubts": 0,
        "accounts": '[["all","",1700006400,1700092800]]', "adjusts": None, "note": "",
    }  # fmt: skip


async def test_a_name_that_is_no_text_is_written_all_the_same(path):
    """Half a character in a tag must not refuse the journal to everyone."""
    odd = Spending("req_1:1", "req_1", ANN, "\ud800", "openai", "a\x00b", 10)
    async with opened(path, [budget(each=("model",))]) as budgets:
        settled(await budgets.reserve(odd), 5)
        await budgets.flush()
    async with opened(path, [budget(each=("model",))]) as budgets:
        assert [status.committed for status in budgets.status()] == [5]
        with pytest.raises(BudgetExceededError):
            await budgets.reserve(Spending("req_2:1", "req_2", ANN, "\ud800", "", "", 96))


async def test_an_attempt_can_not_hold_twice(path):
    """Two attempts of one name would be settled as one."""
    async with opened(path, [budget()]) as budgets:
        hold = await budgets.reserve(spending())
        with pytest.raises(ValueError, match="its own id"):
            await budgets.reserve(spending())
        settled(hold, 1)


async def test_a_window_that_begins_is_empty_and_the_old_one_keeps_its_charge(path):
    """A call is charged to the window in which it was held, however late it ends."""
    clock = ManualClock(NOON)
    async with opened(path, [budget()], clock) as budgets:
        late = await budgets.reserve(spending(1, 100))
        clock.advance(DAY / 2)
        assert settled(await budgets.reserve(spending(2, 100)), 30)
        settled(late, 70)
        assert money(budgets) == (30, 0)
        clock.advance(-1)
        assert money(budgets) == (70, 0)


async def test_a_wall_clock_that_jumps_ahead_ends_no_window(path):
    """An hour before midnight, set two hours ahead: today's money stays spent."""
    clock = SplitClock(NOON + DAY / 2 - 3600)
    async with opened(path, [budget()], clock) as budgets:
        settled(await budgets.reserve(spending(1, 100)), 100)
        clock.wall += 7200
        with pytest.raises(BudgetExceededError):
            await budgets.reserve(spending(2, 1))
        assert budgets.ahead_s == 7200
        clock.advance(3600)
        settled(await budgets.reserve(spending(3, 1)), 1)


async def test_a_clock_set_back_finds_the_old_window_as_it_was(path):
    """Even one that was forgotten in memory long ago."""
    clock = ManualClock(NOON)
    async with opened(path, [budget()], clock) as budgets:
        settled(await budgets.reserve(spending(1, 100)), 100)
        clock.advance(3 * DAY)
        await budgets.flush()
        settled(await budgets.reserve(spending(2, 1)), 1)
        assert account() not in budgets._books.ledger
        clock.advance(-3 * DAY)
        with pytest.raises(BudgetExceededError):
            await budgets.reserve(spending(3, 1))


async def test_changed_limits_hold_at_once(path):
    """What was spent stays with the name."""
    async with opened(path, [budget(limit=100)]) as budgets:
        settled(await budgets.reserve(spending(1, 60)), 60)
        budgets.configure([budget(limit=65)])
        with pytest.raises(BudgetExceededError):
            await budgets.reserve(spending(2, 6))
        budgets.configure([budget(limit=70)])
        settled(await budgets.reserve(spending(3, 10)), 10)
        assert money(budgets) == (70, 0)


async def test_a_budget_that_goes_while_a_call_is_in_flight_is_settled(path):
    """And found as it should be when it comes back."""
    async with opened(path, [budget()]) as budgets:
        hold = await budgets.reserve(spending(1, 60))
        budgets.configure([])
        settled(hold, 50)
        budgets.configure([budget()])
        assert money(budgets) == (50, 0)


async def test_the_ladder_goes_by_what_is_spent(path):
    """Held money takes no step; the account is told with it."""
    async with opened(path, [budget(ladder=LADDER)]) as budgets:
        assert budgets.step(ANN, "gpt-4o") is None
        hold = await budgets.reserve(spending(1, 96))
        assert budgets.step(ANN, "gpt-4o") is None
        settled(hold, 96)
        step, whose = budgets.step(ANN, "gpt-4o")
        assert (step.do, whose) == (StepKind.CACHE_ONLY, account())
        assert budgets.status()[0].step == step


async def test_a_ladder_is_found_after_a_restart(path):
    """Before any call has asked for the account."""
    async with opened(path, [budget(ladder=LADDER)]) as budgets:
        settled(await budgets.reserve(spending(1, 100)), 100)
    async with opened(path, [budget(ladder=LADDER)]) as budgets:
        assert budgets.step(ANN, "gpt-4o")[0].do is StepKind.REJECT


async def test_status_tells_of_every_account(path):
    """Also of those that only the journal knows; a budget nobody used has one account."""
    clock = ManualClock(NOON)
    budgets_ = [
        budget(limit=210), budget("own", each=("user",)), budget("idle", match={"user": "x"}),
    ]  # fmt: skip
    async with opened(path, budgets_, clock) as budgets:
        settled(await budgets.reserve(spending(1, 60)), 60)
        (await budgets.reserve(spending(2, 30, BOB))).close()
    async with opened(path, budgets_, clock) as budgets:
        hold = await budgets.reserve(spending(3, 10, BOB))
        every, ann, bob, idle = budgets.status()
        assert (every.committed, every.held, every.remaining) == (90, 10, 110)
        assert (every.burn_per_hour, every.forecast) == (7, 180)
        assert (idle.budget, idle.committed, idle.remaining) == ("idle", 0, 100)
        assert (ann.each, ann.committed, ann.remaining) == ("user=ann", 60, 40)
        assert (bob.each, bob.unsettled, bob.doubts, bob.held) == ("user=bob", 30, 1, 10)
        settled(hold, 1)


def test_amounts_that_are_none_are_refused_at_birth():
    """Negative money, or more than there is."""
    for nano in (-1, 10**18):
        with pytest.raises(ValueError, match="no amount"):
            spending(amount=nano)
        with pytest.raises(ValueError, match="no amount"):
            actual(nano)

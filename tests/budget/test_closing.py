"""A month's closing: all charges, summed to the nano-dollar, adding up with the budgets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC as GREENWICH
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from sidecar.budget.closing import charges, close
from sidecar.budget.terms import Charge, ChargeKind
from sidecar.clock import ManualClock
from sidecar.errors import SidecarError
from tests.budget.making import ANN, BOB, DAY, NOON, UTC, budget, opened, settled, spending

START = datetime(2023, 11, 1, tzinfo=GREENWICH).timestamp()
END = datetime(2023, 12, 1, tzinfo=GREENWICH).timestamp()


@pytest.fixture
def clock() -> ManualClock:
    """At noon in the middle of November."""
    return ManualClock(NOON)


async def spend(budgets, number: int, nano: int, payer=ANN, **changes) -> None:
    """One call that cost so much."""
    settled(await budgets.reserve(spending(number, 50, payer, **changes)), nano)
    await budgets.flush()


async def test_charges_are_summed_by_day_tags_and_model(path, clock):
    """Calls with equal labels share a row, others have their own."""
    async with opened(path, [budget(limit=1000)], clock) as budgets:
        await spend(budgets, 1, 3)
        await spend(budgets, 2, 4)
        await spend(budgets, 3, 5, BOB, model="gpt-4o-mini")
        clock.advance(DAY)
        await spend(budgets, 4, 6)
    rows = charges(path, START, END, UTC)
    assert [(row["day"], row["calls"], row["nano"], row["input_tokens"]) for row in rows] == [
        ("2023-11-15", 3, 12, 21),
        ("2023-11-16", 1, 6, 7),
    ]
    assert {row["model"] for row in rows} == {
        "gpt-4o-2024-11-20"
    }  # who answered, not who was asked


async def test_a_month_adds_up_with_its_budgets(path, clock):
    """Of every window, by the charges themselves."""
    monthly, daily = budget("m", 10_000), budget("d", 10_000, each=("user",))
    async with opened(path, [monthly, daily], clock) as budgets:
        for number in range(6):
            await spend(budgets, number, 7 + number, (ANN, BOB)[number % 2])
            clock.advance(DAY / 2)
    told = close(path, START, END, UTC)
    assert told["total"]["cost_usd"] == "0.000000057"
    assert {row["difference_usd"] for row in told["budgets"]} == {"0"}
    for name in ("m", "d"):
        sums = [row["spent_usd"] for row in told["budgets"] if row["budget"] == name]
        assert sum(round(float(usd) * 1e9) for usd in sums) == 57


async def test_a_wrong_sum_shows(path, clock):
    """A closing that always adds up would prove nothing."""
    async with opened(path, [budget(limit=1000)], clock) as budgets:
        await spend(budgets, 1, 30)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE accounts SET committed = committed + 1")
        connection.commit()
    assert [row["difference_usd"] for row in close(path, START, END, UTC)["budgets"]] == [
        "0.000000001"
    ]


async def test_a_correction_counts_where_its_charge_does(path, clock):
    """Though it was made a month later."""
    async with opened(path, [budget(limit=1000)], clock) as budgets:
        hold = await budgets.reserve(spending(1, 50))
        hold.settle(Charge(50, ChargeKind.BOUND))
        clock.advance(40 * DAY)
        await budgets.reconcile("req_1:1", 20)
        await budgets.flush()
    told = close(path, START, END, UTC)
    total = told["total"]
    assert (total["calls"], total["cost_usd"], total["corrections"]) == (1, "0.00000002", 1)
    assert total["unsettled_usd"] == "0"
    assert [row["difference_usd"] for row in told["budgets"]] == ["0"]


async def test_what_only_a_bound_vouches_for_is_told(path, clock):
    """It may be less in the end."""
    async with opened(path, [budget(limit=1000)], clock) as budgets:
        (await budgets.reserve(spending(1, 50))).settle(Charge(50, ChargeKind.BOUND))
        await spend(budgets, 2, 5)
    assert close(path, START, END, UTC)["total"]["unsettled_usd"] == "0.00000005"


async def test_only_charges_of_the_period_and_the_provider_count(path, clock):
    """From its first moment on, up to but without its last."""
    async with opened(path, [budget(limit=1000)], clock) as budgets:
        await spend(budgets, 1, 3)
        await spend(budgets, 2, 4, provider="claude")
    assert [row["nano"] for row in charges(path, START, END, UTC, "claude")] == [4]
    assert charges(path, START, NOON, UTC) == []
    assert sum(row["nano"] for row in charges(path, NOON, END, UTC)) == 7


async def test_days_begin_in_the_time_zone(path, clock):
    """At noon in Greenwich it is tomorrow on Kiritimati."""
    async with opened(path, [budget(limit=1000)], clock) as budgets:
        await spend(budgets, 1, 3)
    (row,) = charges(path, START, END, ZoneInfo("Pacific/Kiritimati"))
    assert row["day"] == "2023-11-16"


async def test_a_window_that_reaches_out_of_the_month_says_so(path, clock):
    """A week belongs to two months now and then."""
    async with opened(path, [budget(limit=1000)], clock) as budgets:
        await spend(budgets, 1, 3)
    assert [row["is_whole"] for row in close(path, NOON, END, UTC)["budgets"]] == [False]
    assert [row["is_whole"] for row in close(path, START, END, UTC)["budgets"]] == [True]


def test_without_a_journal_nothing_was_charged(path):
    """And none is made."""
    assert close(path, START, END, UTC)["rows"] == []
    assert not path.exists()


def test_a_file_that_is_no_journal_is_told(tmp_path):
    """In one line."""
    file = tmp_path / "money.sqlite"
    file.write_bytes(b"no journal at all" * 50)
    with pytest.raises(SidecarError, match=r"money\.sqlite can't be read"):
        charges(file, START, END, UTC)

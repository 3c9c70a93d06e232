"""What is told of money: decimal dollars as text, days and amounts as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.budget.local import LocalBudgets
from sidecar.budget.money import told
from sidecar.dollars import dollars as in_dollars
from sidecar.errors import InvalidRequestError
from sidecar.finance import Finance, day, dollars, known, moment
from sidecar.money_errors import BudgetUnavailableError


@given(st.integers(0, 10**15))
def test_every_amount_comes_back_to_the_nano_dollar(nano: int) -> None:
    """What is told can be sent back as it is, by either of the two ways to tell it."""
    assert dollars(told(nano)) == dollars(in_dollars(nano)) == nano
    assert Decimal(told(nano)) == Decimal(nano).scaleb(-9)


@given(st.integers(-(10**18), 10**18))
def test_both_ways_to_tell_dollars_are_one(nano: int) -> None:
    """Budgets and reports must not differ by how they are written."""
    assert told(nano) == in_dollars(nano)


@pytest.mark.parametrize(
    "text",
    ["", "lots", "-1", "-0.000000001", "NaN", "Infinity", "1e9", "1,5", "$", "0x1", "1000001"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    """By name, with an example."""
    with pytest.raises(InvalidRequestError, match=r"expected dollars such as 0\.0123"):
        dollars(text)


@pytest.mark.parametrize(("text", "nano"), [("$0.5", 5 * 10**8), ("1e-9", 1), ("1000000", 10**15)])
def test_amounts_may_be_written_in_several_ways(text: str, nano: int) -> None:
    """As an invoice does."""
    assert dollars(text) == nano


@pytest.mark.parametrize("text", ["", "2026-13-01", "05.10.2026", "2026-10", "9999-12-31"])
def test_what_is_no_day_is_refused(text: str) -> None:
    """By the option's name."""
    with pytest.raises(InvalidRequestError, match="to: expected a day such as 2026-10-05"):
        day({"to": text}, "to")


def test_an_option_that_there_is_none_of_is_refused() -> None:
    """A misspelt one would change nothing, in silence."""
    known({"month": "2026-10"}, "month", "timezone")
    with pytest.raises(InvalidRequestError, match="no option 'mont'; there are: month, timezone"):
        known({"mont": "2026-10"}, "month", "timezone")


def test_times_are_told_in_utc() -> None:
    """As ISO 8601 has it."""
    assert moment(1_760_000_000.9) == "2025-10-09T08:53:20Z"


async def test_without_a_journal_no_closing_is_made(tmp_path, clock) -> None:
    """Sums that may lack something are no sums."""
    path = tmp_path / "money.sqlite"
    path.write_bytes(b"no database" * 1000)
    budgets = LocalBudgets(path, clock)
    budgets.open()
    finance = Finance(budgets, tmp_path / "requests.sqlite", path, clock)
    with pytest.raises(BudgetUnavailableError):
        await finance.closing({"month": "2026-10"})
    with pytest.raises(BudgetUnavailableError):
        await finance.charges({"from": "2026-10-01", "to": "2026-10-02"})
    assert "money.sqlite" in (await finance.budgets())["failure"]

"""Dollars are whole nano-dollars inside, and plain decimals where they are told."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.budget.money import nano_of, told


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (127_500, "0.0001275"),
        (12_500_000_000, "12.5"),
        (0, "0"),
        (-10_000_000, "-0.01"),
        (1, "0.000000001"),
        (100 * 10**9, "100"),
        (-(10**9), "-1"),
    ],
)
def test_money_is_told_plainly(nano, text) -> None:
    """No exponent, no needless zeros, the zeros of whole dollars kept."""
    assert told(nano) == text


@given(st.integers(-(10**20), 10**20))
def test_what_is_told_is_the_amount(nano) -> None:
    """Text reads back as the same amount, to the last nano-dollar."""
    assert nano_of(Decimal(told(nano))) == nano


@pytest.mark.parametrize(
    ("dollars", "nano"),
    [
        ("0.0000000019", 1),
        ("-0.0000000001", -1),
        ("50", 50 * 10**9),
        ("123456789.9999999999999999999999999999", 123456789_999999999),
    ],
)
def test_a_limit_is_rounded_down(dollars, nano) -> None:
    """A part of a nano-dollar is never granted, however many digits config has."""
    assert nano_of(Decimal(dollars)) == nano


@pytest.mark.parametrize("dollars", ["NaN", "Infinity"])
def test_what_is_no_amount_is_refused(dollars) -> None:
    """A limit that is no number must not become one."""
    with pytest.raises((ValueError, OverflowError)):
        nano_of(Decimal(dollars))

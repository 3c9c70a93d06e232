"""Costs are exact and rounded up, and no call costs more than its worst case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.budget.price import Price, Rates, Tier, Tokens, cost, worst_cost

MINI = Price(Rates(150_000, 75_000, 150_000, 600_000, 600_000))
CLAUDE = Price(Rates(3_000_000, 300_000, 3_750_000, 15_000_000, 15_000_000, 6_000_000))
TIERED = Price(
    Rates(2000, 200, 2500, 10_000, 12_000),
    (
        Tier(200, Rates(4000, 400, 5000, 15_000, 18_000)),
        Tier(1000, Rates(8000, 800, 9000, 30_000, 30_000)),
    ),
)

RATE = st.integers(0, 10**9)
RATES = st.builds(Rates, RATE, RATE, RATE, RATE, RATE, RATE)
TIERS = st.lists(st.builds(Tier, st.integers(0, 1000), RATES), max_size=3).map(tuple)
PRICES = st.builds(Price, RATES, TIERS)


@st.composite
def some_tokens(draw) -> Tokens:
    """Any tokens that a call may take."""
    fresh, cached, short, long, said, thought = (draw(st.integers(0, 800)) for _ in range(6))
    written = short + long
    return Tokens(fresh + cached + written, said + thought, cached, written, thought, long)


def test_a_plain_call() -> None:
    """1,000 tokens in and 500 out of gpt-4o-mini are 0.00045 dollars."""
    assert cost(MINI, Tokens(1000, 500)) == 450_000


def test_cached_tokens_are_cheaper() -> None:
    """The cached part of the input is paid at its own rate, and not once more as input."""
    assert cost(MINI, Tokens(1000, 0, cached_input=400)) == 120_000


def test_writes_to_a_cache_are_dearer() -> None:
    """A write kept five minutes and one kept an hour are each paid at their own rate."""
    tokens = Tokens(1000, 0, cache_write=300, cache_write_long=100)
    assert cost(CLAUDE, tokens) == 700 * 3000 + 200 * 3750 + 100 * 6000


def test_a_long_write_without_a_rate_is_a_write() -> None:
    """No vendor gives the longer one away."""
    price = Price(Rates(1000, 1000, 2000, 0, 0))
    assert cost(price, Tokens(10, 0, cache_write=10, cache_write_long=10)) == 20


def test_reasoning_has_its_own_rate() -> None:
    """Thought tokens are a part of the output, and paid once."""
    assert cost(TIERED, Tokens(0, 100, reasoning=60)) == 40 * 10 + 60 * 12


@pytest.mark.parametrize(("tokens", "nano"), [(200, 400), (201, 804), (1000, 4000), (1001, 8008)])
def test_a_tier_begins_above_its_number(tokens, nano) -> None:
    """At the number itself the lower rates hold; above it the higher ones, for all tokens."""
    assert cost(TIERED, Tokens(tokens, 0)) == nano


def test_a_tier_holds_for_the_output_too() -> None:
    """The number of input tokens decides what output costs."""
    assert cost(TIERED, Tokens(201, 10)) == 804 + 150


def test_the_order_of_tiers_does_not_matter() -> None:
    """The highest tier that is reached counts, wherever it stands."""
    turned = Price(TIERED.rates, TIERED.tiers[::-1])
    assert cost(turned, Tokens(5000, 7)) == cost(TIERED, Tokens(5000, 7))


def test_costs_are_rounded_up() -> None:
    """A thousandth of a nano-dollar costs one; the whole call is rounded once."""
    price = Price(Rates(1, 1, 1, 1, 1))
    assert cost(price, Tokens(1, 0)) == 1
    assert cost(price, Tokens(500, 500)) == 1
    assert worst_cost(price, 500, 501) == 2
    assert cost(price, Tokens(0, 0)) == 0


def test_the_worst_case_takes_the_dearest_kinds() -> None:
    """Every token of the prompt may be written to a cache for an hour."""
    assert worst_cost(CLAUDE, 100, 10) == 100 * 6000 + 10 * 15_000
    assert worst_cost(Price(Rates(1000, 3000, 1000, 1000, 5000)), 1, 1) == 8


def test_the_worst_case_counts_cheaper_tiers_too() -> None:
    """Where more input is cheaper, a call may still turn out to have less."""
    price = Price(Rates(2000, 2000, 2000, 9000, 9000), (Tier(10, Rates(1, 1, 1, 1, 1)),))
    assert worst_cost(price, 20, 20) == 20 * 2 + 20 * 9


def test_a_tier_out_of_reach_does_not_count() -> None:
    """A small call is not held for the rates of a large one."""
    assert worst_cost(TIERED, 200, 0) == 200 * 2500 // 1000
    assert worst_cost(TIERED, 201, 0) == 201 * 5000 // 1000


@given(PRICES, some_tokens(), st.integers(0, 50), st.integers(0, 50))
def test_nothing_costs_more_than_its_worst_case(price, tokens, more_in, more_out) -> None:
    """Whatever the rates, tiers and kinds: at most so many tokens cost at most so much."""
    worst = worst_cost(price, tokens.input + more_in, tokens.output + more_out)
    assert cost(price, tokens) <= worst


@pytest.mark.parametrize(
    "parts",
    [
        {"cached_input": 60, "cache_write": 60},
        {"reasoning": 11},
        {"cached_input": -1},
        {"cache_write": 5, "cache_write_long": 6},
        {"cache_write_long": -1},
        {"reasoning": -1},
    ],
)
def test_impossible_tokens_are_refused(parts) -> None:
    """A part above its whole, or below nothing, must never lower a cost."""
    with pytest.raises(ValueError, match="part"):
        Tokens(100, 10, **parts)


def test_negative_rates_and_counts_are_refused() -> None:
    """No rate and no bound pays money back."""
    with pytest.raises(ValueError, match="rate"):
        Rates(1, 1, 1, 1, -1)
    with pytest.raises(ValueError, match="number"):
        worst_cost(MINI, -1, 0)

"""What tokens cost, and what they may cost at most. Pure.

Rates are whole pico-dollars a token (a dollar for a million tokens is 10**6 of them), a
cost is whole nano-dollars and rounded up. Where a model has tiers, the number of input
tokens puts the whole call, output too, into one of them, as vendors bill.

The invariant: no call with at most so many tokens costs more than `worst_cost` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PICO_PER_NANO: Final = 1000


@dataclass(frozen=True, slots=True)
class Rates:
    """Pico-dollars a token. `cache_write_long` is for a cache kept longer than usual.

    Where the long one is not dearer it is the same as `cache_write`.
    """

    input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int
    cache_write_long: int = 0

    def __post_init__(self) -> None:
        kinds = (self.input, self.cached_input, self.cache_write, self.cache_write_long)
        if min(*kinds, self.output, self.reasoning) < 0:
            raise ValueError("a rate can't be negative")

    @property
    def longest_write(self) -> int:
        """Of a token written to a cache that is kept long."""
        return max(self.cache_write, self.cache_write_long)

    @property
    def dearest_input(self) -> int:
        """Of a token of the prompt, whichever kind it turns out to be."""
        return max(self.input, self.cached_input, self.longest_write)

    @property
    def dearest_output(self) -> int:
        """Of a token of the answer, thought or said."""
        return max(self.output, self.reasoning)


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates of calls with more input tokens than that."""

    above_input_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs. The two limits are None where they are not known."""

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    reasons: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call. `ValueError` where a part is more than its whole.

    `input` includes `cached_input` and `cache_write`, which includes `cache_write_long`;
    `output` includes `reasoning`.
    """

    input: int
    output: int
    cached_input: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cache_write_long: int = 0

    def __post_init__(self) -> None:
        parts = (
            self.input - self.cached_input - self.cache_write,
            self.cached_input,
            self.cache_write - self.cache_write_long,
            self.cache_write_long,
            self.output - self.reasoning,
            self.reasoning,
        )
        if min(parts) < 0:
            raise ValueError("a part of the tokens is negative, or more than its whole")


def cost(price: Price, tokens: Tokens) -> int:
    """Nano-dollars of a call that took these tokens."""
    rates = _rates_for(price, tokens.input)
    fresh = tokens.input - tokens.cached_input - tokens.cache_write
    pico = (
        fresh * rates.input
        + tokens.cached_input * rates.cached_input
        + (tokens.cache_write - tokens.cache_write_long) * rates.cache_write
        + tokens.cache_write_long * rates.longest_write
        + (tokens.output - tokens.reasoning) * rates.output
        + tokens.reasoning * rates.reasoning
    )
    return _nano(pico)


def worst_cost(price: Price, input_tokens: int, output_tokens: int) -> int:
    """Nano-dollars that no call costs more of, whose tokens are at most these.

    Every tier within reach counts, for a call may take fewer tokens than it might have,
    and nothing says that the rates of a higher tier are higher.
    """
    if input_tokens < 0 or output_tokens < 0:
        raise ValueError("a number of tokens can't be negative")
    dearest = max(
        input_tokens * rates.dearest_input + output_tokens * rates.dearest_output
        for rates in _within_reach(price, input_tokens)
    )
    return _nano(dearest)


def _within_reach(price: Price, input_tokens: int) -> Iterator[Rates]:
    yield price.rates
    for tier in price.tiers:
        if tier.above_input_tokens < input_tokens:
            yield tier.rates


def _rates_for(price: Price, input_tokens: int) -> Rates:
    """Of the highest tier that the input is above."""
    reached = [tier for tier in price.tiers if tier.above_input_tokens < input_tokens]
    if not reached:
        return price.rates
    return max(reached, key=lambda tier: tier.above_input_tokens).rates


def _nano(pico: int) -> int:
    """Rounded up, once for the whole call: a part of a nano-dollar is spent like a whole one."""
    return -(-pico // PICO_PER_NANO)

"""A price as one line of the shipped table, written and read. Pure.

    key  input cached_input cache_write cache_write_long output reasoning
    max_input max_output reasons tiers

Rates are pico-dollars a token. What isn't known is empty, `reasons` is 1 or 0, and a tier
is `200000:` and its six rates, tiers set apart by semicolons. A line that is not so is a
damaged table and raises `ValueError`.
"""

from __future__ import annotations

from typing import Final

from sidecar.budget.price import Price, Rates, Tier

COLUMNS: Final = (
    "key", "input", "cached_input", "cache_write", "cache_write_long", "output", "reasoning",
    "max_input", "max_output", "reasons", "tiers",
)  # fmt: skip


def write_row(key: str, price: Price) -> str:
    """One line, without its end."""
    limits = [_written(price.max_input_tokens), _written(price.max_output_tokens)]
    tiers = ";".join(f"{t.above_input_tokens}:{','.join(_rates(t.rates))}" for t in price.tiers)
    return "\t".join([key, *_rates(price.rates), *limits, str(int(price.reasons)), tiers])


def read_row(line: str) -> tuple[str, Price]:
    """The key and the price of one line."""
    key, *fields = line.split("\t")
    if len(fields) != len(COLUMNS) - 1:
        raise ValueError(f"not {len(COLUMNS)} columns: {key}")
    *rates, max_input, max_output, reasons, tiers = fields
    price = Price(
        _read_rates(rates),
        tuple(_read_tier(tier) for tier in tiers.split(";") if tier),
        _read(max_input),
        _read(max_output),
        reasons == "1",
    )
    return key, price


def _rates(rates: Rates) -> list[str]:
    kinds = (rates.input, rates.cached_input, rates.cache_write, rates.longest_write)
    return [str(rate) for rate in (*kinds, rates.output, rates.reasoning)]


def _read_rates(fields: list[str]) -> Rates:
    entered, cached, write, long, made, thought = map(int, fields)
    return Rates(entered, cached, write, made, thought, long)


def _read_tier(text: str) -> Tier:
    above, rates = text.split(":")
    return Tier(int(above), _read_rates(rates.split(",")))


def _written(limit: int | None) -> str:
    return "" if limit is None else str(limit)


def _read(field: str) -> int | None:
    return int(field) if field else None

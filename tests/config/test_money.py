"""Config of prices and budgets: what is exact, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from config.helpers import lines, parsed
from sidecar import wiring_money

DOLLARS = "expected a number between 0 and 1000000000"


def budget_lines(**fields: Any) -> list[str]:
    """The problems of one budget."""
    return lines({"budgets": [{"name": "b", "limit_usd": 1, **fields}]})


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"limit_usd": True}, f"limit_usd: {DOLLARS}, got true"),
        ({"limit_usd": float("nan")}, f"limit_usd: {DOLLARS}, got NaN"),
        ({"limit_usd": -1}, f"limit_usd: {DOLLARS}, got -1"),
        ({"limit_usd": "lots"}, f'limit_usd: {DOLLARS}, got "lots"'),
        (
            {"timezone": "Mars"},
            'timezone: expected an IANA time zone such as Europe/Berlin, got "Mars"',
        ),
        (
            {"timezone": "../../etc/passwd"},
            'timezone: expected an IANA time zone such as Europe/Berlin, got "../../etc/passwd"',
        ),
        (
            {"window": "year"},
            'window: expected one of minute, hour, day, week, month, got "year"',
        ),
        (
            {"match": {"colour": "red"}},
            "match.colour: expected one of user, feature, department, tenant, model",
        ),
        ({"each": "user"}, 'each: expected a list, got "user"'),
        (
            {"ladder": [{"at": 2, "do": "reject"}]},
            "ladder[0].at: expected a number between 0 and 1, got 2",
        ),
        (
            {"ladder": [{"at": 1, "do": "beg"}]},
            'ladder[0].do: expected one of use_variant, cache_only, reject, got "beg"',
        ),
        (
            {"ladder": [{"at": 1, "do": "use_variant", "variant": "x"}]},
            "ladder[0].variant: expected a variant of some model; there are: none",
        ),
        (
            {"ladder": [{"at": 1, "do": "reject", "variant": "x"}]},
            "ladder[0].variant: only use_variant takes one: remove it",
        ),
    ],
)
def test_a_budget_that_could_not_be_kept_is_refused(fields: dict[str, Any], line: str) -> None:
    """At the key that should change, with what was expected."""
    assert budget_lines(**fields) == [f"budgets[0].{line}"]


def test_a_step_names_the_variants_that_there_are() -> None:
    """Of any model, for a budget may be for several."""
    models = {
        "m": {
            "targets": [{"provider": "sim", "model": "m"}],
            "variants": {"cheap": [{"provider": "sim", "model": "n"}]},
        }
    }
    step = {"at": 0.5, "do": "use_variant", "variant": "cheap"}
    good = {"name": "b", "limit_usd": 1, "ladder": [step]}
    assert parsed({"models": models, "budgets": [good]}).budgets[0].ladder[0].variant == "cheap"
    bad = {**good, "ladder": [{**step, "variant": "dear"}]}
    assert lines({"models": models, "budgets": [bad]}) == [
        "budgets[0].ladder[0].variant: expected a variant of some model; there are: cheap"
    ]


def test_two_budgets_of_one_name_are_refused() -> None:
    """What is spent is known by the name."""
    twice = [{"name": "b", "limit_usd": 1}, {"name": "b", "limit_usd": 2}]
    assert lines({"budgets": twice}) == [
        "budgets[1].name: the same as budgets[0].name: give each its own"
    ]


@pytest.mark.parametrize(
    ("limit", "nano"), [(0.1, 10**8), ("0.1", 10**8), (50, 5 * 10**10), (1e-7, 100), (0, 0)]
)
def test_dollars_are_exact(limit: float | str, nano: int) -> None:
    """Never a binary fraction more or less."""
    config = parsed({"budgets": [{"name": "b", "limit_usd": limit}]})
    assert wiring_money.budgets(config.budgets)[0].limit == nano


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        ({"prices": {"m": {"input": 1}}}, f"prices.m.output: missing: {DOLLARS}"),
        ({"prices": {"m": {"input": -1, "output": 1}}}, f"prices.m.input: {DOLLARS}, got -1"),
        (
            {"prices": {"m": {"input": 1, "output": 1, "outptu": 2}}},
            "prices.m.outptu: unknown key; did you mean output?",
        ),
        (
            {"charge_cancelled": "nothing"},
            'charge_cancelled: expected one of bound, emitted, got "nothing"',
        ),
        (
            {"usage": {"retention": "0s"}},
            "usage.retention: expected a duration such as 24h, 10m, 2s or 500ms,"
            ' above 0 and at most 3650d, got "0s"',
        ),
    ],
)
def test_other_slips_are_told_at_their_key(tree: dict[str, Any], line: str) -> None:
    """A price that was overlooked would be a budget overspent."""
    assert lines(tree) == [line]

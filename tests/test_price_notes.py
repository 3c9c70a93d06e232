"""Which targets have no price, and which of them a budget may have to pay."""

from __future__ import annotations

import re
from typing import Any

from sidecar.budget.prices import PriceTable
from sidecar.config import Config
from sidecar.price_notes import price_line, price_notes, unpriced

TARGETS = {
    "own": {
        "targets": [{"provider": "p", "model": "own-1"}],
        "fallbacks": [{"provider": "p", "model": "gpt-4o"}],
        "variants": {"cheap": [{"provider": "q", "model": "own-2"}]},
    }
}


def config(**changes: Any) -> Config:
    """Two targets without a price, and one with."""
    providers = {name: {"kind": "openai", "base_url": "http://h/v1"} for name in "pq"}
    return Config.parse({"providers": providers, "models": TARGETS, **changes})


def noted(**changes: Any) -> list[str]:
    """The models of which a note is made."""
    made = config(**changes)
    notes = price_notes(made, PriceTable(made.prices))
    return [note.split(" ")[5] for note in notes]


def budget(**match: str) -> list[dict[str, Any]]:
    """One budget."""
    return [{"name": "b", "limit_usd": 1, "match": match}]


def test_whoever_may_answer_is_looked_at() -> None:
    """Targets, fallbacks and variants; a price of the config counts as much as a shipped one."""
    made = config()
    assert unpriced(made, PriceTable()) == [("p", "own-1"), ("q", "own-2")]
    priced = config(prices={"own-*": {"input": 1, "output": 2}})
    assert unpriced(priced, PriceTable(priced.prices)) == []


def test_without_a_budget_nothing_is_refused_and_nothing_noted() -> None:
    """It is answered, and flagged in its row."""
    assert noted() == []


def test_a_budget_that_may_pay_makes_a_note() -> None:
    """Whatever else it wants of a call; by the name that is asked for, or of who answers."""
    assert noted(budgets=budget()) == ["own-1", "own-2"]
    assert noted(budgets=budget(department="support")) == ["own-1", "own-2"]
    assert noted(budgets=budget(model="own")) == ["own-1", "own-2"]
    assert noted(budgets=budget(model="*-2")) == ["own-2"]
    assert noted(budgets=budget(model="gpt-*")) == []


def test_the_line_tells_how_old_the_prices_are() -> None:
    """A day, so that an operator can tell whether it is time to look."""
    assert re.match(r"prices of 20\d\d-\d\d-\d\d, as shipped", price_line(PriceTable()))

"""What of a config has no price, and what follows from that. Pure but for the shipped table.

Where a budget pays for a call, a target without a price is refused: better that a start
says so than the first caller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TypeAlias

from sidecar.budget.prices import PriceTable
from sidecar.config import Config
from sidecar.config.money import Budget

Target: TypeAlias = tuple[str, str]
"""Provider and model."""


def price_line(prices: PriceTable) -> str:
    """How old the shipped prices are."""
    return f"prices of {prices.date}, as shipped; those of the config come first"


def unpriced(config: Config, prices: PriceTable) -> list[Target]:
    """The targets whose price is not known, in their order by name."""
    return [
        (provider, model)
        for provider, model in sorted(_targets(config))
        if prices.find(config.providers[provider].kind, provider, model) is None
    ]


def price_notes(config: Config, prices: PriceTable) -> Iterator[str]:
    """A line for each target without a price that a budget may have to pay."""
    asked_for = _targets(config)
    for provider, model in unpriced(config, prices):
        names = {model, *asked_for[provider, model]}
        if payers := [each.name for each in config.budgets if _may_pay(each, names)]:
            yield (
                f"no price is known for {model} of {provider}: calls to it will be refused where"
                f" the budget {payers[0]} pays; set prices.{model}"
            )


def _targets(config: Config) -> Mapping[Target, set[str]]:
    """Everyone who may answer, each with the names that apps ask for."""
    found: dict[Target, set[str]] = defaultdict(set)
    for name, model in config.models.items():
        for listed in (model.targets, model.fallbacks, *model.variants.values()):
            for target in listed:
                found[target.provider, target.model].add(name)
    return found


def _may_pay(budget: Budget, names: Iterable[str]) -> bool:
    """What else a budget wants of a call is known only when one comes."""
    pattern = budget.match.get("model", "*")
    return any(fnmatchcase(name, pattern) for name in names)

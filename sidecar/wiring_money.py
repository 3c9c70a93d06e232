"""Config of money in the terms of the rooms that hold it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sidecar.budget.money import nano_of
from sidecar.budget.prices import PriceTable
from sidecar.budget.terms import Budget, Step, StepKind
from sidecar.budget.windows import WindowKind
from sidecar.cashier import CashierSettings, Vendor
from sidecar.config import Config
from sidecar.config.money import Budget as BudgetConfig
from sidecar.config.money import Step as StepConfig
from sidecar.config.routes import Provider

OPENAI = "api.openai.com"


def budgets(configured: Sequence[BudgetConfig]) -> tuple[Budget, ...]:
    """The budgets."""
    return tuple(
        Budget(
            each.name,
            nano_of(each.limit_usd),
            WindowKind(each.window),
            ZoneInfo(each.timezone),
            dict(each.match.items()),
            tuple(each.each),
            tuple(map(_step, each.ladder)),
        )
        for each in configured
    )


def _step(config: StepConfig) -> Step:
    return Step(Fraction(Decimal(str(config.at))), StepKind(config.do), config.variant or "")


def price_table(config: Config) -> PriceTable:
    """The shipped prices, and the config's over them."""
    return PriceTable(config.prices)


def cashier_settings(config: Config) -> CashierSettings:
    """What holds for every call."""
    return CashierSettings(
        vendors={name: vendor(provider) for name, provider in config.providers.items()},
        max_output_tokens=config.max_output_tokens,
        charge_cancelled=config.charge_cancelled,
    )


def vendor(provider: Provider) -> Vendor:
    """Only at its own address are OpenAI's names sure to be its own models."""
    address = urlsplit(provider.base_url).hostname if provider.kind == "openai" else ""
    return Vendor(provider.kind, has_own_names=provider.kind == "simulated" or address == OPENAI)

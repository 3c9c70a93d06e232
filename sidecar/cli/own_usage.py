"""The two ledgers of money in `state_dir`, asked without a sidecar, under the lock of one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from sidecar import wiring_money
from sidecar.budget.local import LocalBudgets
from sidecar.clock import SystemClock
from sidecar.config import Config
from sidecar.errors import SidecarError
from sidecar.finance import Finance
from sidecar.state import JOURNAL, REQUESTS, StateDir
from sidecar.usage.file import bring_up_to_date


def usage_of(config: Config, options: Mapping[str, str]) -> dict[str, Any]:
    """As `/api/usage` of a running sidecar."""
    with StateDir(config.state_dir) as state:
        bring_up_to_date(state.path / REQUESTS)
        finance = _finance(state, LocalBudgets(state.path / JOURNAL, SystemClock()))
        return dict(asyncio.run(finance.usage(options)))


def charges_of(config: Config, options: Mapping[str, str]) -> dict[str, Any]:
    """As `/api/usage/charges`."""
    return _asked(config, lambda finance: finance.charges(options))


def closing_of(config: Config, options: Mapping[str, str]) -> dict[str, Any]:
    """As `/api/usage/closing`."""
    return _asked(config, lambda finance: finance.closing(options))


def budgets_of(config: Config) -> dict[str, Any]:
    """As `/api/budgets`."""
    return _asked(config, lambda finance: finance.budgets())


def unsettled_of(config: Config) -> dict[str, Any]:
    """As `/api/budgets/unsettled`."""
    return _asked(config, lambda finance: finance.unsettled())


def reconcile_in(
    config: Config, bodies: Iterable[Mapping[str, str]], done: list[Mapping[str, Any]]
) -> None:
    """As `/api/budgets/reconcile`, one by one; `done` gets what was changed."""

    async def all_of_them(finance: Finance) -> Mapping[str, Any]:
        for body in bodies:
            told = await finance.reconcile(body["charge"], body["cost_usd"], body["note"])
            done.append(told)
        return {}

    _asked(config, all_of_them)


def _asked(
    config: Config, ask: Callable[[Finance], Awaitable[Mapping[str, Any]]]
) -> dict[str, Any]:
    # What is wrong with the journal is told as this command's error, and once.
    logging.getLogger("sidecar").addHandler(logging.NullHandler())
    with StateDir(config.state_dir) as state:
        return asyncio.run(_with_journal(config, state, ask))


async def _with_journal(
    config: Config, state: StateDir, ask: Callable[[Finance], Awaitable[Mapping[str, Any]]]
) -> dict[str, Any]:
    budgets = LocalBudgets(state.path / JOURNAL, SystemClock())
    budgets.open()
    if budgets.failure:
        raise SidecarError(budgets.failure)
    budgets.configure(wiring_money.budgets(config.budgets))
    try:
        return dict(await ask(_finance(state, budgets)))
    finally:
        await budgets.close()


def _finance(state: StateDir, budgets: LocalBudgets) -> Finance:
    return Finance(budgets, state.path / REQUESTS, state.path / JOURNAL, SystemClock())

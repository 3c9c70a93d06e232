"""Which accounts a call concerns. Pure but for what it remembers.

Windows are computed once while they last, and the accounts of a payer and models once in
them, for this is asked before every call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from sidecar.budget.terms import Account, Budget, Payer
from sidecar.budget.windows import Window, window_at

MAX_REMEMBERED = 4096
_Question: TypeAlias = tuple[Payer, str, str]
_UNSAFE = re.compile("[%,=\x00-\x1f\x7f\ud800-\udfff]")


class Matcher:
    """Finds accounts. Use from one thread."""

    def __init__(self, budgets: Sequence[Budget] = ()) -> None:
        self.budgets = {budget.name: budget for budget in budgets}
        if len(self.budgets) != len(budgets):
            raise ValueError("two budgets have the same name")
        self.has_ladder = any(budget.ladder for budget in budgets)
        self._windows: dict[str, Window] = {}
        self._from, self._until = 1.0, 0.0  # no moment at all
        self._remembered: dict[_Question, tuple[Account, ...]] = {}

    def matched(self, payer: Payer, asked: str, model: str, now: float) -> tuple[Account, ...]:
        """The accounts that this payer's call for the model `asked`, answered by `model`, is on."""
        if not self._from <= now < self._until:
            self._renew(now)
        question = (payer, asked, model)
        accounts = self._remembered.get(question)
        if accounts is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            accounts = self._remembered[question] = self._find(*question)
        return accounts

    def windows(self, now: float) -> Mapping[str, Window]:
        """Each budget's window at that moment, by name."""
        if not self._from <= now < self._until:
            self._renew(now)
        return self._windows

    def _renew(self, now: float) -> None:
        budgets = self.budgets.values()
        self._windows = {each.name: window_at(each.window, each.zone, now) for each in budgets}
        self._from = max((each.start for each in self._windows.values()), default=float("-inf"))
        self._until = min((each.end for each in self._windows.values()), default=float("inf"))
        self._remembered.clear()

    def _find(self, payer: Payer, asked: str, model: str) -> tuple[Account, ...]:
        labels = {
            "department": payer.department, "feature": payer.feature, "tenant": payer.tenant,
            "user": payer.user,
        }  # fmt: skip
        return tuple(
            self._account(budget, labels | {"model": named})
            for budget in self.budgets.values()
            if (named := _named(budget, asked, model)) is not None and _matches(budget, labels)
        )

    def _account(self, budget: Budget, labels: Mapping[str, str]) -> Account:
        window = self._windows[budget.name]
        each = ",".join(f"{label}={escaped(labels[label])}" for label in sorted(set(budget.each)))
        return Account(budget.name, each, window.start, window.end, budget.limit)


def escaped(value: str) -> str:
    """A label's value as it stands in the name of an account: commas and the like as %2C."""
    return _UNSAFE.sub(_percent, value)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _named(budget: Budget, asked: str, model: str) -> str | None:
    """The model by which the budget is concerned: the one asked for where it matches."""
    pattern = budget.match.get("model", "*")
    return next((each for each in (asked, model) if fnmatchcase(each, pattern)), None)


def _matches(budget: Budget, labels: Mapping[str, str]) -> bool:
    return all(
        fnmatchcase(labels[label], pattern)
        for label, pattern in budget.match.items()
        if label != "model"
    )

"""What the rooms of the budgets talk in: frozen data, no arithmetic. Pure.

Money is in integer nano-dollars, times are in Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from sidecar.budget.price import Tokens
from sidecar.budget.windows import WindowKind

LABELS = ("department", "feature", "model", "tenant", "user")
"""What a budget can match by, and have an account for each value of."""
MAX_NANO = 10**17
"""A hundred million dollars: no single amount is more, so that sums stay far within 64 bits."""


class StepKind(StrEnum):
    """What a step of a ladder does, from the mildest to the strictest."""

    USE_VARIANT = "use_variant"
    CACHE_ONLY = "cache_only"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do from `at` on, a part of the limit from 0 to 1 that is spent."""

    at: Fraction
    do: StepKind
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on what may be spent in each window.

    `match` has a pattern (as `fnmatch`, case-sensitive) by label; what is not named matches
    all. `each` names labels whose every value has an account of its own, with this limit.
    A pattern for `model` is met by the model asked for or by the one that would answer.
    """

    name: str
    limit: int
    window: WindowKind
    zone: ZoneInfo
    match: Mapping[str, str]
    each: tuple[str, ...] = ()
    ladder: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError(f"budget {self.name}: its limit is negative")
        if unknown := {*self.match, *self.each} - set(LABELS):
            raise ValueError(f"budget {self.name}: no such label: {', '.join(sorted(unknown))}")


@dataclass(frozen=True, slots=True)
class Payer:
    """On whose account a call goes."""

    tenant: str
    user: str
    feature: str
    department: str


@dataclass(frozen=True, slots=True)
class Account:
    """One window of one budget, `end` exclusive.

    `each` says whose it is ("feature=faq,user=ann"), empty where the budget has one account.
    The limit is not part of its identity: what was spent stays when the limit changes.
    """

    budget: str
    each: str
    start: int
    end: int
    limit: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Spending:
    """One attempt about to be made: `amount` is the most that it can cost.

    `id` is the request's with the number of the attempt, "req_…:1".
    """

    id: str
    request: str
    payer: Payer
    asked_model: str
    provider: str
    model: str
    amount: int

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= MAX_NANO:
            raise ValueError(f"{self.id}: {self.amount} is no amount that can be held")


class ChargeKind(StrEnum):
    """How a charge came about.

    By the provider's word; by the bound, since nobody knows better; by what was seen to
    come; or for nothing, since no byte was sent or nothing was billed.
    """

    ACTUAL = "actual"
    BOUND = "bound"
    EMITTED = "emitted"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Charge:
    """What an attempt has cost in the end."""

    nano: int
    kind: ChargeKind
    tokens: Tokens | None = None
    answered_model: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.nano <= MAX_NANO:
            raise ValueError(f"{self.nano} is no amount that can be charged")

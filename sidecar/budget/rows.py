"""Charges as rows of the journal, and what they add to their accounts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from sidecar.budget.ledger import Posting
from sidecar.budget.schema import ADJUSTMENT, OPEN, UNBUDGETED, Row
from sidecar.budget.terms import Account, Charge, ChargeKind, Spending


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt's hold: `seq` is its place in the journal, `at` when it was made."""

    seq: int
    at: float
    spending: Spending
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a correction has changed: `charged` before, `real` now, in nano-dollars."""

    id: str
    charged: int
    real: int
    accounts: tuple[Account, ...]

    @property
    def nano(self) -> int:
        """What the accounts have spent more; negative where it was less."""
        return self.real - self.charged


def posting(charge: Charge) -> Posting:
    """What a charge adds to each of its accounts."""
    if charge.kind is ChargeKind.BOUND:
        return Posting(charge.nano, unsettled=charge.nano, doubts=1)
    return Posting(charge.nano)


def opened(claim: Claim) -> Row:
    """The row of money that is held: nothing is added yet."""
    spending, payer = claim.spending, claim.spending.payer
    return Row(
        claim.seq, spending.id, spending.request, claim.at, None,
        payer.tenant, payer.user, payer.feature, payer.department,
        spending.asked_model, spending.provider, spending.model, "",
        OPEN, None, spending.amount, 0, 0, 0, _encoded(claim.accounts),
    )  # fmt: skip


def settled(claim: Claim, charge: Charge, at: float) -> Row:
    """The same row with what it has cost."""
    spending, payer, added = claim.spending, claim.spending.payer, posting(charge)
    tokens = orjson.dumps(charge.tokens).decode() if charge.tokens else None
    return Row(
        claim.seq, spending.id, spending.request, claim.at, at,
        payer.tenant, payer.user, payer.feature, payer.department,
        spending.asked_model, spending.provider, spending.model, charge.answered_model,
        charge.kind.value, tokens, spending.amount, added.nano, added.unsettled, added.doubts,
        _encoded(claim.accounts),
    )  # fmt: skip


def cut_off(row: Row, at: float) -> Row:
    """The row of a call whose process died: charged in full, for it may have been sent."""
    added = posting(Charge(row.amount, ChargeKind.BOUND))
    return row._replace(
        settled_at=at,
        kind=ChargeKind.BOUND.value,
        nano=added.nano,
        unsettled=added.unsettled,
        doubts=added.doubts,
    )


def adjusting(charged: Row, real: int, *, seq: int, at: float, note: str) -> Row:
    """A row that corrects another one, in the windows of that one."""
    return charged._replace(
        seq=seq,
        settled_at=at,
        kind=ADJUSTMENT,
        tokens=None,
        amount=0,
        nano=real - charged.nano,
        unsettled=-charged.unsettled,
        doubts=-charged.doubts,
        adjusts=charged.seq,
        note=note,
    )


def accounts_of(row: Row) -> tuple[Account, ...]:
    """The accounts that a row is in; what their limits were then is not known."""
    return tuple(
        Account(budget, each, start, end, limit=0)
        for budget, each, start, end in orjson.loads(row.accounts)
    )


def _encoded(accounts: Sequence[Account]) -> str:
    if not accounts:
        return UNBUDGETED
    return orjson.dumps(
        [[each.budget, each.each, each.start, each.end] for each in accounts]
    ).decode()

"""The arithmetic of committed and held money, in memory. Pure.

The invariant: an amount is held only where, in every account that it concerns, committed +
held + amount ≤ limit; it is held in all of them or in none. Settling takes the hold away
and adds what it really cost, whatever that is, exactly once.

What is committed may pass a limit in one way alone: something cost more than its bound.
It refuses to know clocks and disks: what an account has spent before is told by `restore`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sidecar.budget.terms import Account


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an amount is not held. `busy`: once the calls in flight are settled it may fit."""

    account: Account
    spent: int
    held: int
    amount: int
    busy: bool


@dataclass(frozen=True, slots=True)
class Posting:
    """What is added to an account: money, and how much of it nobody but a bound vouches for.

    `doubts` counts those charges: 1 for one more, -1 where one was cleared up.
    """

    nano: int
    unsettled: int = 0
    doubts: int = 0

    def reversed(self) -> Posting:
        """What takes it back."""
        return Posting(-self.nano, -self.unsettled, -self.doubts)


@dataclass(slots=True)
class Balance:
    """One account's money. `mark` is the number of the posting that changed it last."""

    committed: int = 0
    held: int = 0
    holds: int = 0
    unsettled: int = 0
    doubts: int = 0
    mark: int = 0

    def post(self, posting: Posting, mark: int) -> None:
        """Add a posting."""
        self.committed += posting.nano
        self.unsettled += posting.unsettled
        self.doubts += posting.doubts
        self.mark = mark


@dataclass(frozen=True, slots=True)
class _Held:
    amount: int
    accounts: tuple[Account, ...]


class Ledger:
    """Balances by account, and the holds in them. Use from one thread."""

    def __init__(self) -> None:
        self._balances: dict[Account, Balance] = {}
        self._holds: dict[str, _Held] = {}

    def __len__(self) -> int:
        return len(self._balances)

    def __contains__(self, account: Account) -> bool:
        return account in self._balances

    def balance(self, account: Account) -> Balance:
        """The account's money; zeros where nothing is known of it."""
        return self._balances.get(account) or Balance()

    def accounts(self) -> list[Account]:
        """All that have a balance here."""
        return list(self._balances)

    def has_hold(self, hold: str) -> bool:
        """Whether this hold stands."""
        return hold in self._holds

    def restore(self, account: Account, posting: Posting) -> None:
        """Tell what an account has spent before; one that is known here stays as it is."""
        if account not in self._balances:
            balance = self._balances[account] = Balance()
            balance.post(posting, 0)

    def hold(self, hold: str, amount: int, accounts: Sequence[Account]) -> Refusal | None:
        """Hold the amount in all accounts, or say why not. A hold that stands is not doubled."""
        if hold in self._holds:
            return None
        if refusal := self._refusal(amount, accounts):
            return refusal
        for account in accounts:
            balance = self._balances.setdefault(account, Balance())
            balance.held += amount
            balance.holds += 1
        self._holds[hold] = _Held(amount, tuple(accounts))
        return None

    def settle(self, hold: str, posting: Posting, mark: int = 0) -> bool:
        """Put the real cost in the place of a hold; False, and nothing done, where none stands."""
        held = self._holds.pop(hold, None)
        if held is None:
            return False
        for account in held.accounts:
            balance = self._balances[account]
            balance.held -= held.amount
            balance.holds -= 1
            balance.post(posting, mark)
        return True

    def post(self, accounts: Iterable[Account], posting: Posting, mark: int = 0) -> None:
        """Add what no hold stands for: a correction."""
        for account in accounts:
            self._balances.setdefault(account, Balance()).post(posting, mark)

    def forget(self, ended_by: float, mark: int) -> None:
        """Drop windows that ended and hold nothing; those changed after `mark` stay."""
        idle = [
            account
            for account, balance in self._balances.items()
            if account.end <= ended_by and not balance.holds and balance.mark <= mark
        ]
        for account in idle:
            del self._balances[account]

    def _refusal(self, amount: int, accounts: Sequence[Account]) -> Refusal | None:
        refusals = [
            refusal for account in accounts if (refusal := self._refusal_of(account, amount))
        ]
        # The one that stands in the way the longest is told: spent money before money in
        # flight, and of those the window that ends last.
        return min(refusals, key=lambda each: (each.busy, -each.account.end), default=None)

    def _refusal_of(self, account: Account, amount: int) -> Refusal | None:
        balance = self._balances.get(account)
        spent, held = (balance.committed, balance.held) if balance else (0, 0)
        if spent + held + amount <= account.limit:
            return None
        return Refusal(account, spent, held, amount, busy=spent + amount <= account.limit)

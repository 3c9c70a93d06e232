"""The ledger, filled from the journal as accounts are asked for.

An account is read when it is first seen (one indexed row, some 20 µs, on the caller's
thread) and forgotten when its window has ended, or when many are known and it rests. What
changed and is not yet on disk is never forgotten, so memory and journal can't contradict.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sidecar.budget.journal import Journal
from sidecar.budget.ledger import Balance, Ledger, Posting
from sidecar.budget.pace import Pace
from sidecar.budget.rows import Claim
from sidecar.budget.status import AccountStatus, is_running, running, status_of
from sidecar.budget.terms import Account, Budget
from sidecar.budget.windows import Window

MAX_ACCOUNTS = 20_000
"""Accounts in memory, about, beside those that hold money."""
MAX_LISTED = 1000
TIDY_S = 60.0


class Books:
    """Balances of accounts, wherever they are. Use from one thread.

    `journal` is None where it can't be used; then nothing is known of new accounts.
    """

    def __init__(self) -> None:
        self.journal: Journal | None = None
        self.ledger = Ledger()
        self._paces: dict[Account, Pace] = {}
        self._tidied_at = float("-inf")

    def require(self, accounts: Iterable[Account]) -> None:
        """Know what these have spent. Raises journal.FAILURES."""
        for account in accounts:
            if account in self.ledger:
                continue
            if self.journal is None:
                raise OSError("there is no journal")
            self.ledger.restore(account, self.journal.balance(account))

    def balance(self, account: Account) -> Balance:
        """What is known of an account's money."""
        return self.ledger.balance(account)

    def settle(self, claim: Claim, posting: Posting, *, now: float, mark: int) -> bool:
        """Put what a claim has cost in the place of its hold, once."""
        for account in claim.accounts:
            self._pace(account).note(now, self.ledger.balance(account).committed)
        return self.ledger.settle(claim.spending.id, posting, mark)

    def status(self, budget: Budget, window: Window, now: float) -> list[AccountStatus]:
        """The budget's accounts in that window; where it has but one, that one in any case."""
        spent = self.journal.spent(budget.name, window, MAX_LISTED) if self.journal else {}
        found = {running(budget, window, each): posting for each, posting in spent.items()}
        for account, posting in found.items():
            self.ledger.restore(account, posting)
        known = (each for each in self.ledger.accounts() if is_running(each, budget, window))
        lone = () if budget.each else (running(budget, window, ""),)
        return [
            status_of(account, budget, self.ledger.balance(account), self._pace(account), now)
            for each in dict.fromkeys((*found, *known, *lone))
            for account in (replace(each, limit=budget.limit),)
        ]

    def tidy(self, now: float, written: int) -> None:
        """Now and then, forget what need not be known; `written` is the last mark on disk."""
        if self._tidied_at <= now < self._tidied_at + TIDY_S:
            return
        self._tidied_at = now
        ended_by = float("inf") if len(self.ledger) > MAX_ACCOUNTS else now
        self.ledger.forget(ended_by, written)
        self._paces = {each: pace for each, pace in self._paces.items() if each in self.ledger}

    def _pace(self, account: Account) -> Pace:
        pace = self._paces.get(account)
        if pace is None:
            pace = self._paces[account] = Pace(account)
        return pace

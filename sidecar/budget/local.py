"""Budgets of one sidecar: a ledger in memory, a journal on disk. The embedded default.

What is held and spent is known in memory, so check-and-hold is one step that nothing on the
event loop comes between. It is then written down, and only when that is on disk may a byte
be sent: after a crash every call that may have reached a provider is known, and charged its
whole amount until it is reconciled. Settling is never waited for; it is written with the next
hold, and after 20 ms at the latest. A crash before that leaves the hold, that is the larger
amount. A call that no budget is for is recorded when it is settled, a quarter of a second
late: a crash may lose those.

The journal is the truth; the ledger knows what was asked for lately. An account that it does
not know is read when it is first asked for, and the oldest are forgotten.

A journal that can't be read or written is a refusal, for calls that are on a budget; others
go on. A damaged one stays where it is, and one line in the log says what to do: begun anew
it would grant every limit a second time.

Use it on one event loop. Times are the steady clock's, so a wall clock that jumps ahead ends
no window early.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from sidecar.budget import rows
from sidecar.budget.books import Books
from sidecar.budget.hold import Hold
from sidecar.budget.journal import FAILURES, DamagedJournalError, Journal
from sidecar.budget.ladder import step_at, strictest
from sidecar.budget.ledger import Posting, Refusal
from sidecar.budget.matching import Matcher
from sidecar.budget.recovery import recovered
from sidecar.budget.refusing import refused, stopped, unavailable
from sidecar.budget.rows import Claim, Difference
from sidecar.budget.schema import Row
from sidecar.budget.status import AccountStatus
from sidecar.budget.steady import SteadyClock
from sidecar.budget.terms import Account, Budget, Charge, ChargeKind, Payer, Spending, Step
from sidecar.budget.writer import Writer
from sidecar.clock import Clock
from sidecar.errors import NotFoundError
from sidecar.money_errors import BudgetExceededError, BudgetUnavailableError

__all__ = ["Hold", "LocalBudgets"]

_FREE = Charge(0, ChargeKind.FREE)
_log = logging.getLogger(__name__)


class LocalBudgets:
    """Holds money and settles it. `failure` says why it can't, and is empty while it can."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._steady = SteadyClock(clock)
        self._matcher = Matcher()
        self._books = Books()
        self._writer: Writer | None = None
        self._seq = 0
        self._reconciling: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failure = "it is not open"

    @property
    def ahead_s(self) -> float:
        """How far the wall clock is ahead of the clock that windows go by, in seconds."""
        return self._steady.ahead_s

    def open(self) -> None:
        """Read the journal and clear up after a crash. Blocks; never raises: see `failure`."""
        try:
            journal, cut_off, self._seq = recovered(self._path, self._steady.now())
        except (*FAILURES, DamagedJournalError) as error:
            self.failure = (
                f"the money journal {self._path} can't be used ({error}); put a sound copy in its"
                " place, or move it away to begin from zero, and start again"
            )
            _log.error("%s. Calls on a budget are refused until then", self.failure)
            return
        self.failure = ""
        self._books.journal = journal
        self._writer = Writer(journal, self._clock)
        if cut_off:
            _log.warning(
                "%d calls were cut off in flight: charged in full until reconciled", cut_off
            )

    def configure(self, budgets: Sequence[Budget]) -> None:
        """Set the budgets, at any time. What is spent stays with a budget's name and window."""
        self._matcher = Matcher(budgets)

    def matched(self, payer: Payer, asked_model: str, model: str) -> tuple[Account, ...]:
        """The accounts that a call is on."""
        if not self._matcher.budgets:
            return ()
        return self._matcher.matched(payer, asked_model, model, self._steady.now())

    def step(self, payer: Payer, asked_model: str) -> tuple[Step, Account] | None:
        """The step of a ladder to be taken, and whose; None where none is, or none is known."""
        if not self._matcher.has_ladder:
            return None
        matched = self.matched(payer, asked_model, asked_model)
        accounts = tuple(each for each in matched if self._ladder(each))
        try:
            self._require(accounts)
        except BudgetUnavailableError:
            return None
        steps = ((self._step_of(account), account) for account in accounts)
        return strictest((step, account) for step, account in steps if step)

    def stopped(self, step: Step, account: Account) -> BudgetExceededError:
        """The refusal of a step that keeps a call from providers."""
        budget, spent = (
            self._matcher.budgets[account.budget],
            self._books.balance(account).committed,
        )
        return stopped(step, account, budget, spent)

    async def reserve(self, spending: Spending) -> Hold:
        """Hold the amount on every account that matches; on disk when this returns.

        Where none matches nothing is waited for. Raises BudgetExceededError,
        BudgetBusyError or BudgetUnavailableError; nothing is held then, nor when cancelled.
        """
        claim = self._held(spending)
        hold = Hold(claim, self)
        if not claim.accounts:
            return hold
        try:
            await self._require_writer().wait(rows.opened(claim))
        except asyncio.CancelledError:
            hold.settle(_FREE)
            raise
        except OSError as error:
            self._books.ledger.settle(spending.id, Posting(0))
            hold.settle(_FREE)
            raise unavailable(error) from error
        return hold

    def unlimited(self, spending: Spending) -> Hold:
        """Record what an attempt costs that no budget is for: nothing is refused or waited for."""
        return Hold(self._claim(spending, (), self._steady.now()), self)

    def settle(self, claim: Claim, charge: Charge) -> bool:
        """Charge a claim once; `Hold.settle` calls it."""
        if claim.accounts and not self._books.ledger.has_hold(claim.spending.id):
            return False
        now, posting = self._steady.now(), rows.posting(charge)
        mark = self._writer.put(rows.settled(claim, charge, now)) if self._writer else 0
        return not claim.accounts or self._books.settle(claim, posting, now=now, mark=mark)

    def abandon(self, claim: Claim) -> None:
        """Charge a claim in full, soon; from whatever thread."""
        charge = Charge(claim.spending.amount, ChargeKind.BOUND)
        try:
            if self._loop:
                self._loop.call_soon_threadsafe(self.settle, claim, charge)
        except RuntimeError:  # the loop is closed: its row is open, and charged at the next start
            return

    async def flush(self) -> None:
        """Wait until all so far is on disk."""
        try:
            await self._require_writer().flush()
        except OSError as error:
            raise unavailable(error) from error

    async def unsettled(self, limit: int = 1000) -> list[Row]:
        """Charges that only a bound vouches for, the oldest first."""
        await self.flush()
        return self._require_journal().in_doubt(limit)

    async def charges(self, since: float, until: float) -> list[Row]:
        """All charges and corrections of money held in that time, as a closing needs them."""
        await self.flush()
        return list(self._require_journal().charges(since, until))

    async def reconcile(self, charge: str, nano: int, note: str = "") -> Difference:
        """Put what a call really cost in the place of what was charged by a bound or an estimate.

        By a row of its own, in the windows of that charge. NotFoundError where there is no
        such charge, or it was corrected before.
        """
        Charge(nano, ChargeKind.ACTUAL)  # refuses what is no amount
        await self.flush()
        row = self._require_journal().doubtful(charge)
        if row is None or charge in self._reconciling:
            raise NotFoundError(f"no charge {charge} is open to correction")
        self._reconciling.add(charge)
        try:
            return await self._adjust(row, nano, note)
        except OSError as error:
            raise unavailable(error) from error
        finally:
            self._reconciling.discard(charge)

    def status(self, now: float | None = None) -> list[AccountStatus]:
        """The accounts of the windows that run, of each budget those who spent the most."""
        moment = self._steady.now() if now is None else now
        windows = self._matcher.windows(moment)
        return [
            status
            for budget in self._matcher.budgets.values()
            for status in self._books.status(budget, windows[budget.name], moment)
        ]

    def remaining(self) -> dict[str, float]:
        """The part of each budget's limit that may still be held; of several accounts the least."""
        least: dict[str, float] = {}
        for account in self.status():
            ratio = max(0.0, account.remaining / account.limit) if account.limit else 0.0
            least[account.budget] = min(ratio, least.get(account.budget, 1.0))
        return least

    async def close(self) -> None:
        """Write what is queued. What is still held is charged in full at the next start."""
        writer, journal = self._writer, self._books.journal
        self._writer = self._books.journal = None
        if writer and journal:
            await writer.close()
            journal.close()
        self.failure = self.failure or "it is closed"

    def _held(self, spending: Spending) -> Claim:
        """Check and hold, without a pause in between."""
        now = self._steady.now()
        asked, model = spending.asked_model, spending.model
        accounts = self._matcher.matched(spending.payer, asked, model, now)
        self._require(accounts)
        if accounts and (refusal := self._hold(spending, accounts)):
            raise refused(refusal, self._matcher.budgets[refusal.account.budget])
        return self._claim(spending, accounts, now)

    def _hold(self, spending: Spending, accounts: tuple[Account, ...]) -> Refusal | None:
        if self._books.ledger.has_hold(spending.id):
            raise ValueError(f"{spending.id} holds money already: every attempt has its own id")
        return self._books.ledger.hold(spending.id, spending.amount, accounts)

    def _claim(self, spending: Spending, accounts: tuple[Account, ...], now: float) -> Claim:
        self._seq += 1
        self._loop = asyncio.get_running_loop()
        if self._writer:
            self._books.tidy(now, self._writer.written)
        return Claim(self._seq, now, spending, accounts)

    def _require(self, accounts: tuple[Account, ...]) -> None:
        """Know what these have spent."""
        if accounts:
            self._require_journal()
        try:
            self._books.require(accounts)
        except FAILURES as error:
            raise unavailable(error) from error

    def _require_journal(self) -> Journal:
        if self._books.journal is None:
            raise unavailable(self.failure)
        return self._books.journal

    def _require_writer(self) -> Writer:
        if self._writer is None:
            raise unavailable(self.failure)
        return self._writer

    def _ladder(self, account: Account) -> tuple[Step, ...]:
        return self._matcher.budgets[account.budget].ladder

    def _step_of(self, account: Account) -> Step | None:
        spent = self._books.balance(account).committed
        return step_at(self._ladder(account), spent, account.limit)

    async def _adjust(self, row: Row, nano: int, note: str) -> Difference:
        accounts, writer = rows.accounts_of(row), self._require_writer()
        self._require(accounts)
        self._seq += 1
        added = rows.adjusting(row, nano, seq=self._seq, at=self._steady.now(), note=note)
        change, ledger = Posting(added.nano, added.unsettled, added.doubts), self._books.ledger
        written = writer.wait(added)
        ledger.post(accounts, change, writer.mark)

        def undo(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception():
                ledger.post(accounts, change.reversed())

        written.add_done_callback(undo)
        await asyncio.shield(written)  # it is written even if nobody waits any more
        return Difference(row.id, row.nano, nano, accounts)

"""The thread that writes the money journal, in groups: one sync to disk for all who wait.

A row that someone waits for is handed over at once and takes with it whatever else there is;
what nobody waits for goes after `DELAY_S` at the latest, and after `LAZY_S` where no budget is
concerned, which a crash may lose. What came while a group was written is the next group, and
the loop is called back once for each.

What is written is posted many rows at once: when it is quiet, or much, or old.

A group that fails is refused to those who wait, whose rows are thrown away: no call was
sent. The other rows (money that was really spent) are kept and tried again, in order, with
every new group and every `RETRY_S`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from threading import Thread

from sidecar.budget.journal import FAILURES, Journal
from sidecar.budget.schema import UNBUDGETED, Row
from sidecar.clock import Clock

DELAY_S = 0.02
LAZY_S = 0.25
POST_S = 0.25
POST_ROWS = 500
RETRY_S = 1.0
SWEEP_S = 3600.0
MAX_UNBUDGETED = 10_000
"""Rows without an account that are kept while the disk refuses; those with one all are."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Group:
    """What is handed over: rows that someone waits for, other rows, who waits for all of them.

    `mark` is the number of the last row ever given.
    """

    awaited: Sequence[tuple[Row, asyncio.Future[None]]]
    rows: list[Row]
    flushing: Sequence[asyncio.Future[None]]
    mark: int


class Writer:
    """Writes rows. `put` and what it calls run on the loop. All up to `written` is posted."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._queue: SimpleQueue[_Group | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="money-journal", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: list[Row] = []
        self._sending: asyncio.TimerHandle | None = None
        self._within_s = inf
        self._kept: list[Row] = []
        self._taken = 0
        self._unposted = 0
        self._post_at = inf
        # Not at once: a clock that is wrong at start has a moment to be put right.
        self._sweep_at = clock.tick() + SWEEP_S
        self.mark = 0
        self.written = 0
        self.dropped = 0
        self.failing: set[str] = set()
        self._thread.start()

    def put(self, row: Row) -> int:
        """Add a row; its number."""
        self.mark += 1
        self._pending.append(row)
        within_s = LAZY_S if row.accounts == UNBUDGETED else DELAY_S
        if within_s < self._within_s:
            self._send_within(within_s)
        return self.mark

    def wait(self, row: Row) -> asyncio.Future[None]:
        """Add a row; the future is done when it is on disk, or has the error."""
        self.mark += 1
        waiter = self._waiter()
        self._send([(row, waiter)])
        return waiter

    def flush(self) -> asyncio.Future[None]:
        """The future is done when all that was added before is posted, or has the error."""
        waiter = self._waiter()
        self._send(flushing=[waiter])
        return waiter

    async def close(self) -> None:
        """Write what is there, as far as the disk lets, and end."""
        self._send()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _waiter(self) -> asyncio.Future[None]:
        self._loop = asyncio.get_running_loop()
        return self._loop.create_future()

    def _send_within(self, within_s: float) -> None:
        if self._sending is not None:
            self._sending.cancel()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return self._send()  # nothing turns any more
        self._within_s = within_s
        self._sending = self._loop.call_later(within_s, self._send)
        return None

    def _send(
        self,
        awaited: Sequence[tuple[Row, asyncio.Future[None]]] = (),
        flushing: Sequence[asyncio.Future[None]] = (),
    ) -> None:
        # The thread runs when the loop lets it, and takes all that was sent until then.
        if self._sending is not None:
            self._sending.cancel()
        self._sending, self._within_s = None, inf
        self._queue.put(_Group(awaited, self._pending, flushing, self.mark))
        self._pending = []

    def _answer(self, waiters: list[asyncio.Future[None]], written: int, error: str) -> None:
        self.written = max(self.written, written)
        for waiter in waiters:
            if waiter.done():  # cancelled
                continue
            if error:
                waiter.set_exception(OSError(error))
            else:
                waiter.set_result(None)

    # From here on: the thread.

    def _run(self) -> None:
        is_open = True
        while is_open:
            groups, is_open = self._take()
            error = self._write(groups)
            if not is_open or self._is_due(groups):
                self._post(groups, error)
                self._sweep()
        if self._kept:
            _log.error("%d charges could not be written to %s", len(self._kept), self._journal.path)

    def _take(self) -> tuple[list[_Group], bool]:
        """Wait for groups, or until something is due, and whether more will come."""
        groups: list[_Group] = []
        wait_s = RETRY_S if self._kept else POST_S if self._unposted else None
        try:
            group = self._queue.get(timeout=wait_s)
            while group is not None:
                groups.append(group)
                self._taken = group.mark
                group = self._queue.get_nowait()
        except Empty:
            return groups, True
        return groups, False

    def _write(self, groups: list[_Group]) -> str:
        """Write their rows and tell those who wait for one; the error."""
        awaited = [each for group in groups for each in group.awaited]
        others = [*self._kept, *(row for group in groups for row in group.rows)]
        # What is held comes first: of two rows with one number the later counts.
        rows = [*(row for row, _ in awaited), *others]
        error = self._tried("write", partial(self._journal.write, rows)) if rows else ""
        self._kept = _bounded(others) if error else []
        self.dropped += len(others) - len(self._kept) if error else 0
        if rows and not error:
            self._count(rows)
        if awaited:
            self._tell([waiter for _, waiter in awaited], error)
        return error

    def _count(self, rows: Sequence[Row]) -> None:
        if not self._unposted:
            self._post_at = self._clock.tick() + POST_S
        self._unposted += len(rows)

    def _is_due(self, groups: list[_Group]) -> bool:
        """Whether to post: it is quiet, or much or old, or waited for."""
        if not groups or self._unposted >= POST_ROWS or self._clock.tick() >= self._post_at:
            return True
        return any(group.flushing for group in groups)

    def _post(self, groups: list[_Group], error: str) -> None:
        """Post what is written, and tell those who wait for it."""
        if self._unposted and not error:
            error = self._tried("post", self._journal.post)
        if not error:
            self._unposted, self._post_at = 0, inf
        waiters = [waiter for group in groups for waiter in group.flushing]
        self._tell(waiters, error, 0 if error or self._kept else self._taken)

    def _tried(self, what: str, act: Callable[[], None]) -> str:
        """The error, empty where there is none. One line in the log for the first and the last."""
        try:
            act()
        except FAILURES as error:
            if what not in self.failing:
                _log.error("can't %s the money journal %s: %s", what, self._journal.path, error)
            self.failing.add(what)
            return str(error) or type(error).__name__
        if what in self.failing:
            _log.warning("the money journal %s can be used again (%s)", self._journal.path, what)
            self.failing.discard(what)
        return ""

    def _tell(self, waiters: list[asyncio.Future[None]], error: str, written: int = 0) -> None:
        if self._loop is None or not (waiters or written):
            return
        try:
            self._loop.call_soon_threadsafe(self._answer, waiters, written, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits there

    def _sweep(self) -> None:
        if self._clock.tick() < self._sweep_at:
            return
        try:
            has_more = self._journal.sweep(self._clock.now())
            self._sweep_at = self._clock.tick() + (RETRY_S if has_more else SWEEP_S)
        except FAILURES as error:
            self._sweep_at = self._clock.tick() + SWEEP_S
            _log.warning("old charges can't be removed from %s: %s", self._journal.path, error)


def _bounded(rows: list[Row]) -> list[Row]:
    """The rows to be tried again: of those without an account the newest `MAX_UNBUDGETED`."""
    excess = sum(row.accounts == UNBUDGETED for row in rows) - MAX_UNBUDGETED
    kept = []
    for row in rows:
        if excess > 0 and row.accounts == UNBUDGETED:
            excess -= 1
        else:
            kept.append(row)
    return kept

"""Groups: who waits is served at once, who does not wait is not forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from sidecar.budget import rows
from sidecar.budget.journal import RETENTION_S, Journal
from sidecar.budget.rows import Claim
from sidecar.budget.writer import MAX_UNBUDGETED, POST_ROWS, POST_S, SWEEP_S, Writer
from sidecar.clock import ManualClock
from tests.budget.making import NOON, account, actual, spending


class CountingJournal(Journal):
    """A journal that remembers how many rows each group had."""

    def __init__(self, path):
        super().__init__(path)
        self.groups = []

    def write(self, rows):
        """Write, and remember it."""
        group = list(rows)
        super().write(group)
        self.groups.append(len(group))


@pytest.fixture
def journal(path):
    """An open file."""
    with closing(CountingJournal(path)) as journal:
        yield journal


@pytest.fixture
async def writer(journal):
    """Its thread."""
    writer = Writer(journal, ManualClock(NOON))
    yield writer
    await writer.close()


def charged(number, *accounts):
    """A charge of its own."""
    return rows.settled(Claim(number, NOON, spending(number), accounts), actual(1), NOON)


async def test_rows_of_one_turn_of_the_loop_are_one_group(journal, writer):
    """A hundred who wait cost one sync to disk, or two where the first was alone by then."""
    await asyncio.gather(*(writer.wait(charged(n)) for n in range(1, 101)))
    assert sum(journal.groups) == 100
    assert len(journal.groups) <= 3


async def test_a_row_without_a_waiter_is_written_soon(journal, writer):
    """By itself, in the order of coming, and the mark says how far it is."""
    mark = writer.put(charged(1, account()))
    assert writer.written == 0
    while writer.written < mark:
        await asyncio.sleep(0.001)
    assert journal.balance(account()).nano == 1


async def test_who_waits_takes_along_what_came_before(journal, writer):
    """When it is told, the rows before are on disk too: in the tail, and posted by a flush."""
    writer.put(charged(1, account()))
    writer.put(charged(2))
    await writer.wait(charged(3, account()))
    with closing(Journal(journal.path)) as other:
        assert [row.seq for row in other.tail()] == [1, 2, 3]
    await writer.flush()
    assert journal.balance(account()).nano == 2


async def test_what_is_on_no_budget_is_written_later_than_what_is(journal, writer):
    """Many at once, for nothing hangs on it; it may wait for what may not."""
    writer.put(charged(1))
    lazy = writer._sending
    writer.put(charged(2, account()))
    soon = writer._sending
    writer.put(charged(3))
    assert writer._sending is soon
    assert soon.when() < lazy.when()
    mark = writer.mark
    while writer.written < mark:
        await asyncio.sleep(0.001)
    assert journal.groups == [3]


async def test_many_rows_are_posted_though_callers_never_cease(journal, writer):
    """By their number, with the next group, not only when it is quiet."""
    for number in range(1, POST_ROWS + 2):
        writer.put(charged(number, account()))
    number = POST_ROWS + 2
    while not writer.written and number < 2 * POST_ROWS:
        await writer.wait(charged(number, account()))
        number += 1
    assert POST_ROWS + 2 <= journal.balance(account()).nano < 2 * POST_ROWS - 1


async def test_rows_are_posted_in_time_though_callers_never_cease(journal):
    """By the clock, with the next group after `POST_S`: long before there are many."""
    clock = ManualClock(NOON)
    writer = Writer(journal, clock)
    number = 0
    while not writer.written:
        number += 1
        await writer.wait(charged(number, account()))
        clock.advance(POST_S / 10)
    await writer.close()
    assert number < POST_ROWS / 10


async def test_what_could_not_be_posted_is_posted_later(journal, writer, caplog):
    """It is on disk, so callers go on; who waits for all is told; one line at both ends."""
    posting = "CREATE TRIGGER no BEFORE INSERT ON charges BEGIN SELECT raise(ABORT, 'no'); END"
    journal.writing.execute(posting)
    await writer.wait(charged(1, account()))
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            await writer.flush()
    await writer.wait(charged(2, account()))
    assert (writer.written, journal.balance(account()).nano) == (0, 0)
    journal.writing.execute("DROP TRIGGER no")
    await writer.flush()
    assert journal.balance(account()).nano == 2
    assert len(caplog.messages) == 2


async def test_while_the_disk_refuses_charges_on_a_budget_are_kept_before_others(journal, writer):
    """Those of calls without one are bounded, the oldest go, and are counted."""
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer.put(charged(1, account()))
        for number in range(2, MAX_UNBUDGETED + 5):
            writer.put(charged(number))
        with pytest.raises(OSError, match="locked"):
            await writer.flush()
    await writer.flush()
    assert writer.dropped == 3
    kept = [row.seq for row in journal.charges(0, 1e10)]
    assert kept == [1, *range(5, MAX_UNBUDGETED + 5)]


async def test_old_charges_are_swept_an_hour_after_the_start(journal):
    """Not at once: a clock that is wrong then may be put right."""
    clock = ManualClock(NOON)
    writer = Writer(journal, clock)
    await writer.wait(charged(1))
    await writer.flush()
    clock.advance(RETENTION_S + SWEEP_S + 1)
    await writer.flush()
    await writer.close()
    assert list(journal.charges(0, 1e10)) == []

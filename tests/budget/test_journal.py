"""The file: what a group writes, what is kept, what is forgotten, and how it is shared."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing

import pytest

from sidecar.budget import rows
from sidecar.budget.journal import LOG_BYTES, RETENTION_S, DamagedJournalError, Journal
from sidecar.budget.ledger import Posting
from sidecar.budget.rows import Claim
from sidecar.budget.schema import AT_ONCE
from sidecar.budget.terms import Charge, ChargeKind
from tests.budget.making import (
    NOON,
    account,
    actual,
    budget,
    copied,
    money,
    opened,
    settled,
    spending,
)

HELD = Claim(1, NOON, spending(1, 60), (account(),))


def write(journal, *group):
    """Write and post, as the writer does after a while."""
    journal.write(group)
    journal.post()


@pytest.fixture
def journal(path):
    """An open file."""
    with closing(Journal(path)) as journal:
        yield journal


def test_a_hold_adds_nothing_and_its_charge_does(journal):
    """The account is moved when the charge is posted; a hold stays in the tail."""
    write(journal, rows.opened(HELD))
    assert journal.balance(account()) == Posting(0)
    assert journal.tail() == [rows.opened(HELD)]
    write(journal, rows.settled(HELD, actual(7), NOON))
    assert journal.balance(account()) == Posting(7)
    assert journal.tail() == []


def test_what_is_settled_waits_in_the_tail_until_it_is_posted(journal):
    """Whole, and with its number known."""
    charge = rows.settled(Claim(9, NOON, spending(), ()), actual(7), NOON)
    journal.write([rows.opened(HELD), charge])
    assert journal.tail() == [rows.opened(HELD), charge]
    assert journal.last_seq() == 9
    assert list(journal.charges(0, 1e10)) == []
    journal.post()
    assert journal.tail() == [rows.opened(HELD)]
    assert list(journal.charges(0, 1e10)) == [charge]
    assert journal.last_seq() == 9


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tail SET row = replace(row, '\"ann\",', '\"bob\",')",
        "UPDATE tail SET row = replace(row, ',60,', ',61,')",
        "UPDATE tail SET row = 'x'",
        "UPDATE tail SET is_open = 0",
        "UPDATE tail SET seq = 7",
        "UPDATE tail SET checksum = checksum + 1",
    ],
)
def test_a_row_of_the_tail_that_changed_is_not_believed(journal, change):
    """No sum would show it: it is in no account yet."""
    journal.write([rows.opened(HELD)])
    journal.writing.execute(change)
    with pytest.raises(DamagedJournalError):
        journal.tail()


def test_a_large_group_is_written_whole_or_not_at_all(journal):
    """Some hundred rows are several statements."""
    many = [rows.opened(Claim(n, NOON, spending(n), (account(),))) for n in range(1, 2 * AT_ONCE)]
    broken = many[-1]._replace(seq="none")
    with pytest.raises(sqlite3.Error):
        journal.write([*many, broken])
    assert journal.tail() == []
    journal.write(many)
    assert journal.tail() == many


def test_hold_and_charge_in_one_group_are_one_charge(journal):
    """The later of two rows counts."""
    write(journal, rows.opened(HELD), rows.settled(HELD, actual(7), NOON))
    assert journal.balance(account()) == Posting(7)
    assert [row.kind for row in journal.charges(0, 1e10)] == ["actual"]


def test_what_is_written_twice_counts_once(journal):
    """A group that was on disk though its write failed may come again."""
    seven, nine = (rows.settled(HELD, actual(nano), NOON) for nano in (7, 9))
    for each in (seven, seven, rows.opened(HELD), nine):
        journal.write([each])
    assert journal.tail() == [seven]
    for each in (seven, seven, rows.opened(HELD), nine):
        write(journal, each)
    assert journal.balance(account()) == Posting(7)
    assert [row.nano for row in journal.charges(0, 1e10)] == [7]


def test_a_charge_by_bound_is_in_doubt_until_its_correction(journal):
    """Money and count of what nobody vouches for."""
    bound = rows.settled(HELD, Charge(60, ChargeKind.BOUND), NOON)
    write(journal, bound)
    assert journal.balance(account()) == Posting(60, unsettled=60, doubts=1)
    assert journal.in_doubt(10) == [bound] == [journal.doubtful("req_1:1")]
    write(journal, rows.adjusting(bound, 45, seq=2, at=NOON, note=""))
    assert journal.balance(account()) == Posting(45)
    assert (journal.in_doubt(10), journal.doubtful("req_1:1")) == ([], None)


def test_every_account_of_a_charge_is_moved(journal):
    """All of them by the whole."""
    both = (account("a"), account("b", each="user=ann"))
    write(journal, rows.settled(Claim(1, NOON, spending(), both), actual(7), NOON))
    assert [journal.balance(each) for each in both] == [Posting(7), Posting(7)]
    assert journal.balance(account("a", each="user=ann")) == Posting(0)


def test_old_charges_are_forgotten_and_doubtful_ones_are_not(journal):
    """After two months, in small portions; windows go with them."""
    many = [Claim(n, NOON, spending(n), (account(),)) for n in range(1, 1002)]
    journal.write(rows.settled(each, actual(1), NOON) for each in many[:-1])
    write(journal, rows.settled(many[-1], Charge(5, ChargeKind.BOUND), NOON))
    assert not journal.sweep(account().start + RETENTION_S)
    portions = 0
    while journal.sweep(NOON + RETENTION_S + 1):
        portions += 1
    assert portions == 2
    assert journal.balance(account()) == Posting(0)
    assert [row.seq for row in journal.charges(0, 1e10)] == [1001]


def test_it_is_its_owners_alone(journal, path):
    """Who spent what is nobody else's business."""
    journal.write([rows.opened(HELD)])
    for suffix in ("", "-wal", "-shm"):
        assert stat.S_IMODE(path.with_name(path.name + suffix).stat().st_mode) == 0o600


def test_a_commit_is_synced(journal):
    """FULL, in a write-ahead log: an acknowledged hold survives the machine."""
    (level,) = journal.writing.execute("PRAGMA synchronous").fetchone()
    (mode,) = journal.writing.execute("PRAGMA journal_mode").fetchone()
    assert (level, mode) == (2, "wal")


def test_its_log_is_as_long_as_it_will_be_from_the_start(journal, path):
    """One that grows is synced half as fast; and it stays so."""
    log = path.with_name(path.name + "-wal")
    assert log.stat().st_size == LOG_BYTES
    for number in range(1, 600):
        write(journal, rows.settled(Claim(number, NOON, spending(number), ()), actual(1), NOON))
    assert LOG_BYTES <= log.stat().st_size <= LOG_BYTES * 1.1


def test_a_log_that_was_made_longer_is_read_to_its_end(journal, path, tmp_path):
    """What a killed process left is followed by zeros, twice over."""
    journal.write([rows.opened(HELD)])
    with closing(Journal(copied(path, tmp_path / "1"))) as second:
        second.write([rows.settled(HELD, actual(7), NOON)])
        with closing(Journal(copied(second.path, tmp_path / "2"))) as third:
            assert third.tail() == [rows.settled(HELD, actual(7), NOON)]


def test_a_link_in_its_place_is_not_followed(path, tmp_path):
    """Else another file would be written over."""
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        Journal(path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE accounts SET committed = committed - 1",
        "UPDATE accounts SET unsettled = 1",
        "UPDATE charges SET nano = nano - 1",
        "DELETE FROM accounts",
        "DELETE FROM charges",
        "PRAGMA user_version = 2",
        "DROP TRIGGER posted",
    ],
)
async def test_accounts_that_do_not_add_up_are_not_believed(path, change):
    """One side or the other was damaged: which one, nobody knows."""
    async with opened(path, [budget()]) as budgets:
        settled(await budgets.reserve(spending()), 5)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(change)
    async with opened(path, [budget()]) as budgets:
        assert budgets.failure


async def test_accounts_that_add_up_are_believed_though_old_charges_are_gone(path):
    """What the retention took is not missed."""
    async with opened(path, [budget()]) as budgets:
        settled(await budgets.reserve(spending()), 5)
    with closing(Journal(path)) as journal:
        journal.sweep(NOON + RETENTION_S + 1)
    async with opened(path, [budget()]) as budgets:
        assert not budgets.failure
        assert money(budgets) == (0, 0)

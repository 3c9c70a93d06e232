"""A broken budget is a refusal; calls that no budget is for go on."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from sidecar.budget.journal import Journal
from sidecar.money_errors import BudgetExceededError, BudgetUnavailableError
from tests.budget.making import (
    ANN,
    LADDER,
    actual,
    budget,
    copied,
    money,
    opened,
    settled,
    spending,
)

FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from sidecar.money_errors import BudgetUnavailableError
from tests.budget.making import actual, budget, money, opened, settled, spending

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main(path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with opened(path, [budget()]) as budgets:
        flying = await budgets.reserve(spending(1, 60))
        await budgets.flush()
        room(100)
        for number in (2, 3):
            try:
                await budgets.reserve(spending(number, 40))
            except BudgetUnavailableError:
                print("refused", money(budgets))
        settled(flying, 5)
        await asyncio.sleep(0.05)
        print("settled", money(budgets))
        room(resource.RLIM_INFINITY)
        settled(await budgets.reserve(spending(4, 95)), 1)
        print("again", money(budgets))
    async with opened(path, [budget()]) as budgets:
        print("on disk", money(budgets), len(await budgets.unsettled()))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_full_disk_refuses_new_calls_and_keeps_what_is_settled(path):
    """A refused call holds nothing; a charge is written as soon as there is room."""
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [
        "refused (0, 60)", "refused (0, 60)", "settled (5, 0)", "again (6, 0)", "on disk (6, 0) 0",
    ]  # fmt: skip
    assert done.stderr.count("can't write the money journal") == 1


async def test_a_locked_file_refuses_all_who_wait_and_holds_nothing(path):
    """Each of a group is told, and when the file is free everything goes on."""
    Journal(path).close()
    async with opened(path, [budget()]) as budgets:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asked = (budgets.reserve(spending(n, 10)) for n in range(5))
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(each) for each in outcomes} == {BudgetUnavailableError}
        assert money(budgets) == (0, 0)
        settled(await budgets.reserve(spending(9, 100)), 1)


async def test_what_was_settled_meanwhile_is_written_when_nobody_calls_any_more(path, caplog):
    """Tried again by itself; the log tells the beginning and the end of it."""
    async with opened(path, [budget()]) as budgets:
        hold = await budgets.reserve(spending(1, 60))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            settled(hold, 5)
            with pytest.raises(BudgetUnavailableError):
                await budgets.flush()
        while "again" not in caplog.text:
            await asyncio.sleep(0.01)
        (row,) = await budgets.charges(0, 1e10)
        assert row.nano == 5
    assert caplog.text.count("can't write") == 1


async def test_a_correction_that_can_not_be_written_changes_nothing(path):
    """Memory and disk stay of one opinion."""
    async with opened(path, [budget()]) as budgets:
        (await budgets.reserve(spending(1, 60))).close()
        await budgets.flush()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            row = budgets._require_journal().doubtful("req_1:1")
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OSError, match="locked"):
                await budgets._adjust(row, 5, "")
        await asyncio.sleep(0)
        assert money(budgets) == (60, 0)
        assert (await budgets.reconcile("req_1:1", 5)).nano == -55


DAMAGES = {
    "no database": lambda raw: b"no database at all " * 500,
    "cut in half": lambda raw: raw[: len(raw) // 2],
    "cut to a few bytes": lambda raw: raw[:50],
    "another schema": lambda raw: raw.replace(b"CREATE TABLE charges", b"CREATE TABLE chargex"),
    "zeros": lambda raw: b"\\0" * len(raw),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_journal_refuses_calls_on_a_budget_and_no_others(path, damage, caplog):
    """It stays where it is, one line says what to do, and nothing is degraded or granted."""
    async with opened(path, [budget(ladder=LADDER)]) as budgets:
        settled(await budgets.reserve(spending(1, 100)), 100)
    raw = DAMAGES[damage](path.read_bytes())
    path.write_bytes(raw)
    async with opened(path, [budget(ladder=LADDER)]) as budgets:
        with pytest.raises(BudgetUnavailableError):
            await budgets.reserve(spending(2))
        assert budgets.step(ANN, "gpt-4o") is None
        assert money(budgets) == (0, 0)
        assert str(path) in budgets.failure
        with pytest.raises(BudgetUnavailableError):
            await budgets.unsettled()
        budgets.configure([])
        assert (await budgets.reserve(spending(3))).settle(actual(1))
        assert budgets.unlimited(spending(4)).settle(actual(1))
    assert path.read_bytes() == raw
    assert caplog.text.count("put a sound copy in its place") == 1


async def test_a_journal_that_is_not_open_refuses(path):
    """Before the start as after the end."""
    async with opened(path, [budget()]) as budgets:
        pass
    with pytest.raises(BudgetUnavailableError, match="closed"):
        await budgets.reserve(spending())


async def test_no_flipped_byte_grants_a_limit_twice(path):
    """Wherever a byte of the file is flipped: spent money is known, or calls are refused."""
    async with opened(path, [budget()]) as budgets:
        for number in range(4):
            settled(await budgets.reserve(spending(number, 25)), 25)
    sound = path.read_bytes()
    for place in range(0, len(sound), 61):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x55]) + sound[place + 1 :])
        async with opened(path, [budget()]) as budgets:
            with pytest.raises((BudgetExceededError, BudgetUnavailableError)):
                await budgets.reserve(spending(9, 1))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


async def test_a_damaged_log_refuses_and_stays_for_the_next_start(path, tmp_path):
    """After a kill the newest charges are only there: SQLite alone would pass them over."""
    async with opened(path, [budget()]) as budgets:
        for number in range(4):
            settled(await budgets.reserve(spending(number, 25)), 25)
            await budgets.flush()
        after = copied(path, tmp_path / "copy")
    log = after.with_name("money.sqlite-wal")
    raw = bytearray(log.read_bytes())
    raw[len(raw.rstrip(b"\0")) // 2] ^= 0x55
    log.write_bytes(raw)
    for _ in range(2):
        async with opened(after, [budget()]) as budgets:
            with pytest.raises(BudgetUnavailableError, match="sqlite-wal is damaged"):
                await budgets.reserve(spending(9, 1))


async def test_a_place_that_is_none_refuses(tmp_path):
    """A folder where the file should be."""
    path = tmp_path / "money.sqlite"
    path.mkdir()
    async with opened(path, [budget()]) as budgets:
        with pytest.raises(BudgetUnavailableError):
            await budgets.reserve(spending())

"""The process ends at any moment; nothing that may have been spent is forgotten."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from sidecar.clock import ManualClock
from tests.budget.making import (
    BOB,
    DAY,
    NOON,
    account,
    budget,
    copied,
    money,
    opened,
    settled,
    spending,
)  # fmt: skip

SPENDER = """
import asyncio, sys
from pathlib import Path
from tests.budget.making import budget, opened, settled, spending

async def spend(budgets, lane, life):
    for number in range(100_000):
        name = f"{life}-{lane}-{number}"
        hold = await budgets.reserve(spending(name, 10))
        print("sent", name, flush=True)
        await asyncio.sleep(0)
        settled(hold, 3)

async def main(path, life):
    async with opened(path, [budget(limit=10**12)]) as budgets:
        await asyncio.gather(*(spend(budgets, lane, life) for lane in range(4)))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


async def test_what_was_in_flight_is_charged_in_full_and_told(path, tmp_path, caplog):
    """A hold is on disk when it is given: a crash finds it, and one line says so."""
    async with opened(path, [budget()]) as budgets:
        hold = await budgets.reserve(spending(1, 60))
        after = copied(path, tmp_path / "copy")
        settled(hold, 1)
    async with opened(after, [budget()]) as again:
        assert money(again) == (60, 0)
        assert [row.id for row in await again.unsettled()] == ["req_1:1"]
        assert again.status()[0].unsettled == 60
    assert "1 calls were cut off" in caplog.text


async def test_it_is_charged_in_the_window_of_its_hold(path):
    """Not in that of the next start."""
    clock = ManualClock(NOON)
    async with opened(path, [budget()], clock) as budgets:
        lost = await budgets.reserve(spending(1, 60))
    clock.advance(DAY)
    async with opened(path, [budget()], clock) as budgets:
        assert money(budgets) == (0, 0)
        clock.advance(-DAY)
        assert (money(budgets), lost.accounts) == ((60, 0), (account(),))


async def test_it_is_charged_once_however_often_the_process_ends(path):
    """The second start finds nothing more to clear up."""
    async with opened(path, [budget()]) as budgets:
        lost = await budgets.reserve(spending(1, 60))
    for _ in range(3):
        async with opened(path, [budget()]) as budgets:
            assert money(budgets) == (60, 0)
            assert budgets.status()[0].doubts == 1
    assert lost.amount == 60


async def test_a_settled_call_stays_what_it_was(path):
    """After an orderly end every charge is on disk."""
    async with opened(path, [budget()]) as budgets:
        settled(await budgets.reserve(spending(1, 60)), 7)
    async with opened(path, [budget()]) as budgets:
        assert money(budgets) == (7, 0)
        assert await budgets.unsettled() == []


async def test_a_call_without_a_budget_is_recorded_when_it_is_settled(path, tmp_path):
    """Nothing was held, so one that a crash cut off leaves no charge."""
    async with opened(path) as budgets:
        settled(budgets.unlimited(spending(1, 9, BOB)), 4)
        lost = budgets.unlimited(spending(2, 9, BOB))
        settled(await budgets.reserve(spending(3, 9, BOB)), 5)
        await budgets.flush()
        after = copied(path, tmp_path / "copy")
        settled(lost, 1)
    async with opened(after) as again:
        assert [row.nano for row in await again.charges(0, 1e10)] == [4, 5]
        assert await again.unsettled() == []


async def test_settling_after_the_end_harms_nobody(path):
    """The journal says what the next start will charge."""
    async with opened(path, [budget()]) as budgets:
        hold = await budgets.reserve(spending(1, 60))
    assert settled(hold, 5)
    async with opened(path, [budget()]) as budgets:
        assert money(budgets) == (60, 0)


async def test_a_loop_that_is_gone_harms_nobody(path):
    """A hold that is collected after its loop was closed raises nothing."""

    async def hold_and_leave():
        async with opened(path, [budget()]) as budgets:
            return await budgets.reserve(spending(1, 60))

    hold = await asyncio.to_thread(asyncio.run, hold_and_leave())
    del hold
    async with opened(path, [budget()]) as budgets:
        assert money(budgets) == (60, 0)


async def test_nothing_sent_is_lost_by_a_kill(path):
    """Kill -9 under load, three times: every call that was sent is charged, at least its cost."""
    sent: set[str] = set()
    for life in range(3):
        sent |= await asyncio.to_thread(_spend_until_killed, path, life)
        async with opened(path, [budget(limit=10**12)]) as budgets:
            charged = {
                row.request.removeprefix("req_"): row for row in await budgets.charges(0, 1e10)
            }
            assert sent <= charged.keys()
            assert {row.nano for row in charged.values()} <= {3, 10}
            doubtful = await budgets.unsettled()
            # One of each lane: in flight, or settled and not yet written, never both, for
            # the lane's next hold would have taken that charge along to the disk.
            assert len(doubtful) in range(1, 4 * (life + 1) + 1)
            assert money(budgets)[0] == sum(row.nano for row in charged.values())


def _spend_until_killed(path: Path, life: int) -> set[str]:
    command = [sys.executable, "-c", SPENDER, str(path), str(life)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as spender:
        assert spender.stdout is not None
        told = [spender.stdout.readline() for _ in range(60)]
        spender.send_signal(signal.SIGKILL)
        told += [
            line for line in spender.stdout.read().splitlines(keepends=True) if line[-1] == "\n"
        ]
    return {line.split()[1] for line in told}

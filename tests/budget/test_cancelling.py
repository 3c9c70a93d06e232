"""A caller that leaves while its money is written down holds nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from sidecar.budget.journal import Journal
from tests.budget.making import NOON, budget, copied, opened, settled, spending


async def test_cancelled_while_waiting_frees_the_money(path):
    """At once in memory."""
    async with opened(path, [budget()]) as budgets:
        waiting = asyncio.ensure_future(budgets.reserve(spending(1, 60)))
        await asyncio.sleep(0)
        assert budgets.status()[0].held == 60
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (budgets.status()[0].held, budgets.status()[0].committed) == (0, 0)


@pytest.mark.parametrize("turns", [1, 2, 3, 5])
async def test_cancelled_while_waiting_is_free_in_the_journal_too(path, tmp_path, turns):
    """Whatever was written of it by then, the row ends as one that cost nothing."""
    async with opened(path, [budget()]) as budgets:
        waiting = asyncio.ensure_future(budgets.reserve(spending(1, 60)))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        settled(await budgets.reserve(spending(2, 100)), 3)
        await budgets.flush()
        after = copied(path, tmp_path / "copy")
        async with opened(after, [budget()]) as again:
            assert [row.kind for row in await again.charges(0, NOON + 1)] == ["free", "actual"]
            assert again.status()[0].committed == 3
            assert await again.unsettled() == []


async def test_cancelled_behind_a_disk_that_refuses_is_free(path):
    """Neither the failure nor the leaving is lost on the money."""
    Journal(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with opened(path, [budget()]) as budgets:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.ensure_future(budgets.reserve(spending(1, 60)))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            other.execute("ROLLBACK")
            settled(await budgets.reserve(spending(2, 100)), 3)
            assert budgets.status()[0].committed == 3

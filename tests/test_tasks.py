"""The one owner of background tasks."""

import asyncio
import logging

import pytest

from sidecar.tasks import Tasks


async def forever() -> None:
    """Work without an end of its own."""
    await asyncio.Event().wait()


async def fail() -> None:
    """Work that breaks."""
    raise ValueError("broken")


async def test_a_task_that_ends_is_let_go(tasks):
    """Finished work is not kept in memory."""
    await tasks.start(asyncio.sleep(0), name="short")
    assert len(tasks) == 0


async def test_a_failure_that_nobody_waits_for_is_logged_by_name(tasks, caplog):
    """A task of the background never fails unseen."""
    with caplog.at_level(logging.ERROR, logger="sidecar.tasks"):
        await asyncio.wait([tasks.start(fail(), name="sweeper")])
        await asyncio.sleep(0)
    assert "sweeper" in caplog.text
    assert "broken" in caplog.text


async def test_a_failure_that_someone_waits_for_is_told_once(tasks, caplog):
    """Whoever waits gets the error, and the log doesn't tell it again."""
    with pytest.raises(ValueError, match="broken"):
        await tasks.start(fail(), name="asked", awaited=True)
    assert caplog.text == ""


async def test_one_failure_leaves_the_others_running(tasks):
    """Strangers' work is not ended by a neighbour's error."""
    other = tasks.start(forever(), name="other")
    await asyncio.wait([tasks.start(fail(), name="bad", awaited=True)])
    assert not other.done()


async def test_closing_ends_all_and_waits_for_their_cleanup():
    """When `close` returns, every task's `finally` has run."""
    tasks, cleaned = Tasks(), []

    async def work(name: int) -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(name)

    for name in range(3):
        tasks.start(work(name), name=str(name))
    await asyncio.sleep(0)
    await tasks.close()
    assert (sorted(cleaned), len(tasks)) == ([0, 1, 2], 0)


async def test_closing_twice_is_harmless(tasks):
    """The second close finds nothing to do."""
    tasks.start(forever(), name="x")
    await tasks.close()
    await tasks.close()

"""How late the event loop wakes up."""

import asyncio

from sidecar.observe.lag import LoopLag


async def test_what_blocks_the_loop_is_seen(tasks, clock):
    """The time between asking to wake and waking, beyond what was asked."""
    lag = LoopLag(clock, period_s=0)
    tasks.start(lag.run(), name="lag")
    await asyncio.sleep(0)
    clock.advance(3)
    await asyncio.sleep(0)
    assert lag.seconds == 3


async def test_a_free_loop_has_no_lag(tasks, clock):
    """Nor has one whose clock was set back."""
    lag = LoopLag(clock, period_s=0)
    tasks.start(lag.run(), name="lag")
    await asyncio.sleep(0)
    clock.advance(-3)
    await asyncio.sleep(0)
    assert lag.seconds == 0


async def test_one_long_pause_is_not_lag_that_lasts(tasks, clock):
    """What acts on it waits for a second one; when the loop is free again it ends at once."""
    lag = LoopLag(clock, period_s=0)
    tasks.start(lag.run(), name="lag")
    await asyncio.sleep(0)
    told = []
    for late in (5, 3, 4, 0, 5):
        clock.advance(late)
        await asyncio.sleep(0)
        told.append(lag.sustained_s)
    assert told == [0, 3, 3, 0, 0]

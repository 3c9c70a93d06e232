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

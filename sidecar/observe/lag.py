"""How late the event loop is: the clearest sign that something blocks it."""

from __future__ import annotations

import asyncio

from sidecar.clock import Clock

PERIOD_S = 0.5


class LoopLag:
    """Sleeps over and over and notes how much later than asked it wakes up."""

    def __init__(self, clock: Clock, period_s: float = PERIOD_S) -> None:
        self._clock = clock
        self._period_s = period_s
        self.seconds = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = self._clock.tick()
            await asyncio.sleep(self._period_s)
            self.seconds = max(0.0, self._clock.tick() - began - self._period_s)

"""How late the event loop is: the clearest sign that something blocks it."""

from __future__ import annotations

import asyncio

from sidecar.clock import Clock

PERIOD_S = 0.5


class LoopLag:
    """Sleeps over and over and notes how much later than asked it wakes up.

    `seconds` is what was measured last; `sustained_s` the smaller of the last two, for who
    acts on it: one long pause is over when it is seen.
    """

    def __init__(self, clock: Clock, period_s: float = PERIOD_S) -> None:
        self._clock = clock
        self._period_s = period_s
        self.seconds = 0.0
        self.sustained_s = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = self._clock.tick()
            await asyncio.sleep(self._period_s)
            late = max(0.0, self._clock.tick() - began - self._period_s)
            self.sustained_s = min(self.seconds, late)
            self.seconds = late

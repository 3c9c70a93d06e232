"""A clock for windows of money: no window ends early because somebody set the wall clock.

A wall clock that jumps an hour forward would end a window an hour too soon, and its limit
could be spent twice. So this clock goes forward at most 1 % faster than the monotonic one:
what the wall clock is ahead is made up slowly (an hour in about four days). A wall clock
that goes back is followed at once: that only makes windows longer, and what was spent in
the windows seen before is still known. Clocks corrected in the usual way (slewed, by 0.05 %
at most) are followed exactly.

The price: a machine that slept wakes with windows that end late, until the difference is
made up or the process starts anew. `ahead_s` tells of it. A start takes the wall clock's
word; there is no other.
"""

from __future__ import annotations

from sidecar.clock import Clock

MAX_RATE = 1.01


class SteadyClock:
    """Unix seconds that don't jump forward. Ask it from one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now = clock.now()
        self._tick = clock.tick()

    def now(self) -> float:
        """Unix seconds, never ahead of the wall clock."""
        return self._follow(self._clock.now())

    @property
    def ahead_s(self) -> float:
        """How far the wall clock is ahead of this one, in seconds; 0 where they agree."""
        wall = self._clock.now()
        return wall - self._follow(wall)

    def _follow(self, wall: float) -> float:
        tick = self._clock.tick()
        self._now = min(wall, self._now + (tick - self._tick) * MAX_RATE)
        self._tick = tick
        return self._now

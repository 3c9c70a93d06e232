"""Refuses work before too much of it makes everything slow, or has the process killed.

Two signs: the event loop wakes up late, or memory comes near the limit of the control
group. Beyond the first bounds only what is cached is answered, for a hit costs little
and a miss holds memory and the loop for seconds; beyond the second bounds nothing is.
Health answers stay: a process that sheds is alive, and killing it helps nobody.

There is no second, lower bound at which it ends: the signs are sampled twice a second, lag
only counts when it lasts for two samples, and each call is judged by itself, so a sign that
hovers at its bound lets some misses through and refuses others, and settles there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sidecar.errors import OverloadedError
from sidecar.trail import Trail


class Pressure(StrEnum):
    """What there is too much of."""

    LAG = "the event loop is late"
    MEMORY = "memory is nearly used up"


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where on work is refused."""

    lag_s: float
    memory_share: float


MISSES = Bounds(lag_s=1.0, memory_share=0.90)
ALL = Bounds(lag_s=3.0, memory_share=0.97)


def calm() -> float:
    """No sign of pressure, where nothing measures it."""
    return 0.0


class Shedding:
    """Decides from the signs as they are now. `memory_share` is from 0 to 1."""

    def __init__(
        self, lag_s: Callable[[], float] = calm, memory_share: Callable[[], float] = calm
    ) -> None:
        self._lag_s = lag_s
        self._memory_share = memory_share

    def pressure(self, bounds: Bounds) -> Pressure | None:
        """What is beyond these bounds; None where nothing is."""
        if self._lag_s() > bounds.lag_s:
            return Pressure.LAG
        if self._memory_share() > bounds.memory_share:
            return Pressure.MEMORY
        return None

    def check(self, trail: Trail | None = None) -> None:
        """Refuse any call beyond the second bounds; its trail tells why."""
        if pressure := self.pressure(ALL):
            if trail is not None:
                trail.note("shedding", "all", {"pressure": pressure.name.lower()})
            raise overloaded(pressure)


def overloaded(pressure: Pressure) -> OverloadedError:
    """The refusal: what is refused now can be asked again in a moment."""
    return OverloadedError(
        f"this sidecar has too much to do ({pressure.value}); call again",
        headers={"retry-after": "1"},
    )

"""The only clock. Pure code takes times as arguments; the rest asks a `Clock`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings: one that can be written down, one that never goes back."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def tick(self) -> float:
        """Seconds since an arbitrary moment, never decreasing."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def tick(self) -> float:
        """Monotonic seconds."""
        return time.perf_counter()


class ManualClock:
    """A clock that stands still until it is told to move: for tests and replays."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        """Unix seconds."""
        return self._now

    def tick(self) -> float:
        """The same hand; only differences mean anything."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward, or back where `seconds` is negative."""
        self._now += seconds

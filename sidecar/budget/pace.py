"""How fast a window's money goes, and where that leads. Pure.

A few marks (when, how much was committed) are kept in each window. The burn rate is what
was committed since the oldest mark, which is about a quarter of a window old; from the
window's start where there is no such mark yet, as after a restart. The forecast is a
straight line from now to the window's end. Integers, nano-dollars and whole seconds.
"""

from __future__ import annotations

from collections import deque

from sidecar.budget.terms import Account

MARKS = 6
MARKS_A_WINDOW = 24
_HOUR_S = 3600


class Pace:
    """The marks of one window."""

    def __init__(self, account: Account) -> None:
        self._start = account.start
        self._end = account.end
        self._apart_s = max(1, (account.end - account.start) // MARKS_A_WINDOW)
        self._marks: deque[tuple[int, int]] = deque(maxlen=MARKS)

    def note(self, now: float, committed: int) -> None:
        """Tell what was committed before something is added."""
        if not self._marks or now - self._marks[-1][0] >= self._apart_s:
            self._marks.append((int(now), committed))

    def per_hour(self, now: float, committed: int) -> int:
        """Nano-dollars an hour."""
        return self._after(_HOUR_S, now, committed)

    def forecast(self, now: float, committed: int) -> int:
        """What will be committed at the window's end, if it goes on like this."""
        return committed + self._after(max(0, self._end - int(now)), now, committed)

    def _after(self, seconds: int, now: float, committed: int) -> int:
        since, before = self._since(now)
        return (committed - before) * seconds // max(1, int(now) - since)

    def _since(self, now: float) -> tuple[int, int]:
        if self._marks and now - self._marks[0][0] >= self._apart_s:
            return self._marks[0]
        return self._start, 0

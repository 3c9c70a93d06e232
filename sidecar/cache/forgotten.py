"""The purges of late, so that nothing comes back that was on its way while one ran.

Two things can be on their way: an entry that is being read from disk, and an answer that
was asked for before the purge and is stored after it. Pure; times are Unix seconds.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sidecar.cache.entry import Entry, Selector

REMEMBERED = 256
REMEMBERED_S = 900.0  # longer than any answer takes


class Purge(NamedTuple):
    """What was ordered gone: rows below a limit, and answers asked for before a moment."""

    selector: Selector
    below: int
    at: float


class Forgotten:
    """The last purges."""

    def __init__(self) -> None:
        self._purges: deque[Purge] = deque(maxlen=REMEMBERED)

    def note(self, purge: Purge) -> None:
        """This was ordered."""
        self._purges.append(purge)

    def covers_row(self, row: int, entry: Entry) -> bool:
        """Whether an entry on disk should be gone."""
        return any(row < each.below and each.selector.matches(entry) for each in self._purges)

    def covers_answer(self, asked_at: float, entry: Entry, now: float) -> bool:
        """Whether a purge came after the question that this answers."""
        return any(
            asked_at < each.at and now - each.at < REMEMBERED_S and each.selector.matches(entry)
            for each in self._purges
        )

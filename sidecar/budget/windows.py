"""The stretch of time that a budget is for: minute to month, where its owner lives. Pure.

Windows begin where the wall clock of a time zone says so, which is not every 24 hours: a
day in spring has 23 and one in autumn 25. The invariant: windows of a kind follow each
other without a gap or an overlap, whatever the clocks do, and each moment is in one.

A window never begins anew because a clock was turned back: an hour or a midnight that the
clock never shows begins none, and of a midnight that it shows twice the first counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from math import floor
from typing import Final, assert_never
from zoneinfo import ZoneInfo


class WindowKind(StrEnum):
    """How long a budget lasts."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` until before `end`, in Unix seconds."""

    kind: WindowKind
    start: int
    end: int


_SECONDS: Final = {WindowKind.MINUTE: 60, WindowKind.HOUR: 3600}
_DAY: Final = timedelta(days=1)
_LOOK: Final = 3
"""How many lengths around a moment are looked at: no clock is turned by more between two."""


def window_at(kind: WindowKind, zone: ZoneInfo, now: float) -> Window:
    """The window that `now`, in Unix seconds, is in."""
    if kind in _SECONDS:
        return _short(kind, zone, floor(now))
    return _long(kind, zone, floor(now))


def _short(kind: WindowKind, zone: ZoneInfo, now: int) -> Window:
    """A minute or an hour: between two moments at which the clock shows a full one."""
    length = _SECONDS[kind]
    around = range(now - _LOOK * length, now + _LOOK * length + 1, length)
    offsets = {_offset(zone, moment) for moment in around}
    if len(offsets) == 1:  # no clock is turned nearby
        start = now - (now + offsets.pop()) % length
        return Window(kind, start, start + length)
    full = set(_full(zone, now, length, offsets))
    start = max(moment for moment in full if moment <= now)
    return Window(kind, start, min(moment for moment in full if moment > now))


def _full(zone: ZoneInfo, now: int, length: int, offsets: set[int]) -> Iterator[int]:
    """Moments around `now` at which the zone's clock shows a multiple of `length`.

    Each offset in force nearby gives a row of candidates; those count at which it is
    really in force.
    """
    for offset in offsets:
        first = now - (now + offset) % length
        for step in range(-_LOOK, _LOOK + 1):
            moment = first + step * length
            if _offset(zone, moment) == offset:
                yield moment


def _offset(zone: ZoneInfo, moment: int) -> int:
    """Seconds that the zone's clock is ahead of UTC then."""
    shown = datetime.fromtimestamp(moment, zone)
    ahead = shown.utcoffset()
    return int(ahead.total_seconds()) if ahead else 0


def _long(kind: WindowKind, zone: ZoneInfo, now: int) -> Window:
    """A day or more: between two midnights."""
    first = _first_day(kind, datetime.fromtimestamp(now, zone).date())
    # Around a change of clocks the date shown may be a window off, either way.
    while _midnight(zone, first) > now:
        first = _first_day(kind, first - _DAY)
    while _midnight(zone, after := _next(kind, first)) <= now:
        first = after
    return Window(kind, _midnight(zone, first), _midnight(zone, after))


def _first_day(kind: WindowKind, day: date) -> date:
    """The day on which the window with this one began. Weeks begin on Monday, as ISO has it."""
    match kind:
        case WindowKind.MONTH:
            return day.replace(day=1)
        case WindowKind.WEEK:
            return day - day.weekday() * _DAY
        case WindowKind.DAY:
            return day
        case WindowKind.MINUTE | WindowKind.HOUR:
            raise ValueError(f"a {kind} does not begin at midnight")
    assert_never(kind)


def _next(kind: WindowKind, first: date) -> date:
    """The first day of the window behind the one that begins with `first`."""
    longest = {WindowKind.DAY: 1, WindowKind.WEEK: 7, WindowKind.MONTH: 31}[kind]
    return _first_day(kind, first + longest * _DAY)


def _midnight(zone: ZoneInfo, day: date) -> int:
    """The first moment of a day; where clocks skip it, the one at which they would have shown it.

    `fold` is 0: of two midnights it is the first.
    """
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())

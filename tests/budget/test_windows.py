"""Windows follow the wall clock of their zone and cover all time, each moment once."""

from __future__ import annotations

import io
import struct
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.budget.windows import Window, WindowKind, window_at

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kathmandu",  # 5:45 ahead
    "Australia/Lord_Howe",  # turns its clock by half an hour
    "America/St_Johns",  # turned it at one minute past midnight
    "America/Sao_Paulo",  # skipped midnight in spring
    "Asia/Beirut",
    "Africa/Cairo",
    "America/Havana",  # has two midnights in autumn
    "Atlantic/Azores",
    "Pacific/Apia",  # left out a whole day
    "Pacific/Kiritimati",
    "Antarctica/Troll",  # turns it by two hours
    "Africa/Casablanca",
    "Asia/Pyongyang",
    "America/Caracas",
]
MOMENTS = st.integers(0, 4_000_000_000)  # to 2096


def at(text: str, zone: str = "UTC") -> float:
    """The moment at which a zone's clock shows this."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def days(window: Window, zone: str) -> tuple[str, str, float]:
    """When it begins and ends by the zone's clock, and its hours."""
    shown = (
        datetime.fromtimestamp(moment, ZoneInfo(zone)) for moment in (window.start, window.end)
    )
    start, end = (moment.strftime("%a %d %b %H:%M") for moment in shown)
    return start, end, (window.end - window.start) / 3600


@given(st.sampled_from(WindowKind), st.sampled_from(ZONES), MOMENTS)
@example(WindowKind.DAY, "Pacific/Apia", 1325239200)
@example(WindowKind.HOUR, "Australia/Lord_Howe", 1775314800)
def test_windows_tile_time(kind, zone, now) -> None:
    """Each moment is in its window, and so is every other moment of it; the next one follows."""
    window = window_at(kind, ZoneInfo(zone), now)
    assert window.start <= now < window.end
    inside = window_at(kind, ZoneInfo(zone), window.start)
    last = window_at(kind, ZoneInfo(zone), window.end - 1)
    assert inside == window == last
    assert window_at(kind, ZoneInfo(zone), window.end).start == window.end
    assert window_at(kind, ZoneInfo(zone), window.start - 1).end == window.start


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [1987, 2006, 2011, 2018, 2026])
def test_a_year_of_hours_and_days_has_no_gap(zone, year) -> None:
    """From window to window, through every change of clocks, nothing is left out."""
    for kind, step in ((WindowKind.HOUR, 900), (WindowKind.DAY, 7200)):
        first = int(at(f"{year}-01-01T00:00"))
        seen = [
            window_at(kind, ZoneInfo(zone), moment)
            for change in changes(zone, first)
            for moment in range(change - 3 * 86400, change + 3 * 86400, step)
        ]
        windows = sorted(set(seen), key=lambda window: window.start)
        assert all(a.end == b.start or a.end < b.start - 80_000 for a, b in pairwise(windows))
        assert all(window.start < window.end for window in windows)


def changes(zone: str, first: int) -> list[int]:
    """Days of a year on which a zone's clock is turned, to the day."""
    moments = range(first, first + 366 * 86400, 86400)
    ahead = [datetime.fromtimestamp(moment, ZoneInfo(zone)).utcoffset() for moment in moments]
    return [m for m, (a, b) in zip(moments, pairwise(ahead), strict=False) if a != b]


def test_a_day_in_spring_has_23_hours() -> None:
    """New York, 8 March 2026."""
    window = window_at(WindowKind.DAY, ZoneInfo("America/New_York"), at("2026-03-08T16:00"))
    assert days(window, "America/New_York") == ("Sun 08 Mar 00:00", "Mon 09 Mar 00:00", 23)


def test_a_day_in_autumn_has_25_hours() -> None:
    """Berlin, 25 October 2026."""
    window = window_at(WindowKind.DAY, ZoneInfo("Europe/Berlin"), at("2026-10-25T12:00"))
    assert days(window, "Europe/Berlin") == ("Sun 25 Oct 00:00", "Mon 26 Oct 00:00", 25)


def test_a_week_begins_on_monday() -> None:
    """A Sunday belongs to the week before, as ISO has it; across a year's end too."""
    window = window_at(WindowKind.WEEK, ZoneInfo("UTC"), at("2027-01-03T23:59:59"))
    assert days(window, "UTC") == ("Mon 28 Dec 00:00", "Mon 04 Jan 00:00", 168)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-02-28", 672), ("2028-02-29", 696), ("2026-12-31", 744)]
)
def test_a_month_is_as_long_as_it_is(day, hours) -> None:
    """February, a leap year's too, and the one before a new year."""
    window = window_at(WindowKind.MONTH, ZoneInfo("UTC"), at(f"{day}T23:59:59"))
    assert (window.end - window.start) / 3600 == hours
    assert window.start == at(f"{day[:8]}01T00:00")


def test_a_day_is_the_zones_own() -> None:
    """At ten in the evening of UTC it is tomorrow in Kathmandu."""
    window = window_at(WindowKind.DAY, ZoneInfo("Asia/Kathmandu"), at("2026-05-01T22:00"))
    assert window.start == at("2026-05-02T00:00", "Asia/Kathmandu") == at("2026-05-01T18:15")


def test_an_hour_is_the_zones_own() -> None:
    """Kathmandu's hours begin a quarter past UTC's."""
    window = window_at(WindowKind.HOUR, ZoneInfo("Asia/Kathmandu"), at("2026-05-01T12:00"))
    assert window == Window(
        WindowKind.HOUR, int(at("2026-05-01T11:15")), int(at("2026-05-01T12:15"))
    )


def test_an_hour_that_is_half_repeated_is_longer() -> None:
    """Lord Howe turns back from 2:00 to 1:30: no budget begins anew in the middle of it."""
    zone = "Australia/Lord_Howe"
    window = window_at(WindowKind.HOUR, ZoneInfo(zone), at("2026-04-05T01:45", zone))
    assert days(window, zone) == ("Sun 05 Apr 01:00", "Sun 05 Apr 02:00", 1.5)


def test_a_midnight_that_is_skipped_begins_its_day() -> None:
    """São Paulo's 4 November 2018 began at one o'clock."""
    zone = "America/Sao_Paulo"
    window = window_at(WindowKind.DAY, ZoneInfo(zone), at("2018-11-04T12:00"))
    assert days(window, zone) == ("Sun 04 Nov 01:00", "Mon 05 Nov 00:00", 23)


def test_of_two_midnights_the_first_counts() -> None:
    """Havana turns back from 1:00 to 0:00: the day does not begin again."""
    zone = "America/Havana"
    window = window_at(WindowKind.DAY, ZoneInfo(zone), at("2026-11-01T04:30"))
    assert window.start == at("2026-11-01T04:00")
    assert (window.end - window.start) / 3600 == 25


def test_a_day_that_never_was_has_no_window() -> None:
    """Apia went from 29 to 31 December 2011: one day ends where the other begins."""
    zone = "Pacific/Apia"
    before = window_at(WindowKind.DAY, ZoneInfo(zone), at("2011-12-29T12:00", zone))
    after = window_at(WindowKind.DAY, ZoneInfo(zone), at("2011-12-31T12:00", zone))
    assert before.end == after.start
    assert after.end - after.start == 86400


def test_a_minute() -> None:
    """From full minute to full minute, fractions of a second included."""
    window = window_at(WindowKind.MINUTE, ZoneInfo("Asia/Kathmandu"), 119.999)
    assert (window.start, window.end) == (60, 120)


def test_a_clock_that_jumps_over_midnight() -> None:
    """From 23:30 to 0:30, as a zone may do one day: the day before lasts on for half an hour."""
    zone = zone_of("AAA3BBB2,M4.1.0/23:30,M10.1.0/12")
    jump = int(datetime(2026, 4, 5, 23, 30, tzinfo=zone).timestamp())
    before, just_after, later = (
        window_at(WindowKind.DAY, zone, jump + step) for step in (-1, 60, 1800)
    )
    assert before == just_after
    assert before.end == later.start == jump + 1800
    assert datetime.fromtimestamp(later.start, zone).strftime("%d %H:%M") == "06 01:00"


def zone_of(rule: str) -> ZoneInfo:
    """A zone with this rule, in the words of POSIX, and nothing else in its file."""
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = b"TZif2" + bytes(15) + counts + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    return ZoneInfo.from_file(io.BytesIO(block + block + f"\n{rule}\n".encode()))

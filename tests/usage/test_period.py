"""Periods as people write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from sidecar.errors import InvalidRequestError
from sidecar.usage.period import moment, month, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1_760_000_000.0


def at(*parts: int) -> float:
    """Unix seconds of a time in UTC."""
    return datetime(*parts, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("text", "seconds"), [("24h", 86_400), ("7d", 604_800), ("90s", 90)])
def test_a_duration_reaches_back_from_now(text, seconds):
    """However long ago."""
    assert moment(text, BERLIN, NOW, "since") == NOW - seconds


def test_a_day_begins_in_the_time_zone():
    """In summer two hours before the day in UTC."""
    assert moment("2026-07-05", BERLIN, NOW, "since") == at(2026, 7, 4, 22)


def test_a_time_with_an_offset_needs_no_zone():
    """It says itself where it is."""
    assert moment("2026-07-05T12:00+00:00", BERLIN, NOW, "since") == at(2026, 7, 5, 12)


@pytest.mark.parametrize("text", ["", "yesterday", "7", "2026-13-01", "1e9d"])
def test_what_is_no_time_is_refused_by_name(text):
    """The error says which option it was and what is expected."""
    with pytest.raises(InvalidRequestError, match="until: expected a duration such as 24h"):
        moment(text, BERLIN, NOW, "until")


def test_a_month_ends_where_the_next_begins():
    """In the zone, where March loses an hour."""
    assert month("2026-03", BERLIN) == (at(2026, 2, 28, 23), at(2026, 3, 31, 22))
    assert month("2025-12", BERLIN)[1] == month("2026-01", BERLIN)[0]


@pytest.mark.parametrize("text", ["2026", "2026-00", "2026-13", "26-10", "2026-10-01", "0000-01"])
def test_what_is_no_month_is_refused(text):
    """With an example."""
    with pytest.raises(InvalidRequestError, match="2026-10"):
        month(text, BERLIN)


@pytest.mark.parametrize("name", ["Berlin", "", "../etc/passwd", "Europe/Berlin\0", "a" * 5000])
def test_an_unknown_time_zone_is_refused(name):
    """And never read as a path."""
    with pytest.raises(InvalidRequestError, match="IANA name"):
        zone_of(name)

"""How fast money goes."""

from __future__ import annotations

from sidecar.budget.pace import Pace
from tests.budget.making import DAY, NOON, account

START = account().start
HOUR = 3600


def test_without_a_mark_it_goes_by_the_whole_window():
    """Twelve hours, 120 spent: 10 an hour, and 240 by midnight."""
    pace = Pace(account())
    assert (pace.per_hour(NOON, 120), pace.forecast(NOON, 120)) == (10, 240)


def test_later_marks_tell_what_happens_now():
    """A quiet morning does not hide a busy afternoon: the last quarter or so counts."""
    pace = Pace(account())
    spent = 0
    for hour in range(18):
        pace.note(START + hour * HOUR, spent)
        spent += 1 if hour < 12 else 100
    assert pace.per_hour(START + 18 * HOUR, spent) == 100
    assert pace.forecast(START + 18 * HOUR, spent) == spent + 600


def test_a_mark_too_young_tells_nothing():
    """One call a second ago is no rate."""
    pace = Pace(account())
    pace.note(NOON - 1, 0)
    assert pace.per_hour(NOON, 120) == 10


def test_at_the_edges_of_a_window_nothing_is_divided_by_nothing():
    """Its first second, its end, and later."""
    pace = Pace(account())
    assert pace.forecast(START, 0) == 0
    assert pace.per_hour(START, 5) == 5 * HOUR
    assert pace.forecast(START + DAY, 7) == pace.forecast(START + 2 * DAY, 7) == 7

"""Windows end on time, whatever is done to the wall clock."""

from __future__ import annotations

import pytest

from sidecar.budget.steady import SteadyClock
from tests.budget.making import NOON, SplitClock


def test_it_follows_a_clock_that_goes_right():
    """Also one that is slewed a little."""
    wall = SplitClock()
    steady = SteadyClock(wall)
    for _ in range(100):
        wall.advance(60)
        wall.wall += 0.03  # 0.05 %, as much as is slewed
        assert steady.now() == wall.wall
    assert steady.ahead_s == 0


def test_a_jump_ahead_is_made_up_by_one_percent():
    """An hour ahead: the clock gains 36 s in an hour, and tells how far it is behind."""
    wall = SplitClock()
    steady = SteadyClock(wall)
    wall.wall += 3600
    assert steady.now() == NOON
    assert steady.ahead_s == 3600
    wall.advance(3600)
    assert steady.now() == pytest.approx(NOON + 3636)
    assert steady.ahead_s == pytest.approx(3564)
    wall.advance(400_000)
    assert steady.now() == wall.wall
    assert steady.ahead_s == 0


def test_asking_often_gains_nothing():
    """The rate is the clock's, not the caller's."""
    wall = SplitClock()
    steady = SteadyClock(wall)
    wall.wall += 3600
    for _ in range(3600):
        wall.advance(1)
        steady.now()
    assert steady.now() == pytest.approx(NOON + 3636)


def test_a_jump_back_is_followed_at_once():
    """It only makes windows longer; and the way forward again is slow."""
    wall = SplitClock()
    steady = SteadyClock(wall)
    wall.wall -= 3600
    assert steady.now() == NOON - 3600
    wall.wall += 3600
    wall.advance(100)
    assert steady.now() == pytest.approx(NOON - 3600 + 101)

"""Which step holds."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sidecar.budget.ladder import step_at, strictest
from sidecar.budget.terms import Step, StepKind
from tests.budget.making import LADDER, account

CHEAP, CACHE_ONLY, REJECT = LADDER


@pytest.mark.parametrize(
    ("spent", "step"),
    [
        (0, None),
        (799, None),
        (800, CHEAP),
        (949, CHEAP),
        (950, CACHE_ONLY),
        (1000, REJECT),
        (2000, REJECT),
    ],
)
def test_the_highest_step_that_is_reached_holds(spent, step):
    """A step begins exactly at its part of the limit, whatever order they are written in."""
    assert step_at(LADDER, spent, 1000) == step
    assert step_at(LADDER[::-1], spent, 1000) == step


def test_parts_are_compared_exactly():
    """No rounding: a third of a limit that three does not divide."""
    third = (Step(Fraction(1, 3), StepKind.REJECT),)
    assert step_at(third, 33, 100) is None
    assert step_at(third, 34, 100) is not None


def test_no_ladder_has_no_step():
    """Whatever is spent."""
    assert step_at((), 10, 1) is None


def test_a_limit_of_nothing_is_reached():
    """A budget of 0 is spent from the start."""
    assert step_at(LADDER, 0, 0) == REJECT


def test_the_strictest_of_several_accounts_wins():
    """Reject before cache only before a variant, in whatever order they come."""
    steps = [(each, account(str(place))) for place, each in enumerate(LADDER)]
    assert strictest(steps)[0] == REJECT
    assert strictest(steps[1::-1])[0] == CACHE_ONLY
    assert strictest([]) is None


def test_of_two_variants_the_later_step_wins_and_then_the_first():
    """A step that begins later is meant for a tighter place."""
    early, late = Step(Fraction(1, 2), StepKind.USE_VARIANT, "mini"), CHEAP
    a, b = account("a"), account("b")
    assert strictest([(early, a), (late, b)]) == (late, b)
    assert strictest([(late, a), (Step(late.at, late.do, "other"), b)]) == (late, a)

"""Budgets that make no sense are refused at birth."""

from __future__ import annotations

import pytest

from tests.budget.making import account, budget


@pytest.mark.parametrize(
    "changes", [{"limit": -1}, {"match": {"team": "a"}}, {"each": ("user", "session")}]
)
def test_a_budget_that_can_not_be_kept_is_refused(changes):
    """A negative limit, or a label that calls don't have."""
    with pytest.raises(ValueError, match="budget all: "):
        budget(**changes)


def test_the_limit_is_no_part_of_an_account():
    """What was spent is found whatever the limit is now."""
    assert account(limit=1) == account(limit=2)
    assert hash(account(limit=1)) == hash(account(limit=2))
    assert account("a") != account("b") != account("b", day=1) != account("b", each="user=x")

"""Which accounts a call is on."""

from __future__ import annotations

import pytest

from sidecar.budget.matching import Matcher, escaped
from sidecar.budget.terms import Payer
from sidecar.budget.windows import WindowKind
from tests.budget.making import ANN, BOB, DAY, NOON, account, budget


def matched(matcher, payer=ANN, asked="gpt-4o", model="gpt-4o", now=NOON):
    """The accounts, by budget and whose they are."""
    return [(each.budget, each.each) for each in matcher.matched(payer, asked, model, now)]


@pytest.mark.parametrize(
    ("match", "is_met"),
    [
        ({}, True),
        ({"user": "ann"}, True),
        ({"user": "a*", "department": "support"}, True),
        ({"user": "Ann"}, False),
        ({"user": "ann", "department": "sales"}, False),
        ({"tenant": "shop", "feature": "faq"}, True),
        ({"tenant": "", "feature": "faq"}, False),
    ],
)
def test_all_patterns_must_be_met(match, is_met):
    """By case, each by its own label."""
    assert bool(matched(Matcher([budget(match=match)]))) == is_met


def test_a_model_is_met_by_the_one_asked_for_or_the_one_that_answers():
    """A cheap alias of a dear model is no way around a budget."""
    matcher = Matcher([budget(match={"model": "gpt-4o*"})])
    assert matched(matcher, asked="gpt-4o-mini", model="llama3")
    assert matched(matcher, asked="fast", model="gpt-4o")
    assert not matched(matcher, asked="fast", model="llama3")


def test_each_value_has_an_account_of_its_own():
    """Labels in the order of the alphabet, and a missing value is a value too."""
    matcher = Matcher([budget(each=("user", "feature"))])
    assert matched(matcher) == [("all", "feature=faq,user=ann")]
    assert matched(matcher, BOB) == [("all", "feature=faq,user=bob")]
    assert matched(matcher, Payer("", "", "", "")) == [("all", "feature=,user=")]


def test_no_value_can_pass_for_two_labels():
    """What joins labels is escaped in their values, and so is the escape."""
    matcher = Matcher([budget(each=("user", "feature"))])
    forger = Payer(tenant="", user="x", feature="a,user=ann", department="")
    assert matched(matcher, forger) == [("all", "feature=a%2Cuser%3Dann,user=x")]
    assert escaped("%2C") == "%252C"
    assert escaped("\x00\ud800é") == "%00%ED%A0%80é"


def test_the_account_is_that_of_the_window_of_the_moment():
    """Remembered accounts go with their window, forwards and backwards."""
    matcher = Matcher([budget("all"), budget("hourly", window=WindowKind.HOUR)])
    first = matcher.matched(ANN, "m", "m", NOON)
    assert first[0] == account()
    assert (first[1].start, first[1].end) == (NOON, NOON + 3600)
    assert matcher.matched(ANN, "m", "m", NOON + 3599) is first
    assert matcher.matched(ANN, "m", "m", NOON + 3600)[1].start == NOON + 3600
    assert matcher.matched(ANN, "m", "m", NOON + DAY)[0] == account(day=1)
    assert matcher.matched(ANN, "m", "m", NOON) == first


def test_what_is_remembered_is_bounded():
    """Ten thousand users leave no ten thousand memories."""
    matcher = Matcher([budget(each=("user",))])
    for number in range(10_000):
        matcher.matched(Payer("", f"user-{number}", "", ""), "m", "m", NOON)
    assert len(matcher._remembered) <= 4096


def test_two_budgets_of_one_name_are_refused():
    """Their money would be mixed."""
    with pytest.raises(ValueError, match="same name"):
        Matcher([budget("a"), budget("a")])

"""Rate limits: what a minute allows, wherever it begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.route.limits import (
    IDLE_FORGOTTEN,
    WINDOW_S,
    Exceeded,
    Measure,
    RateCounts,
    RateLimit,
    Taken,
)

BY_USER = (("user", "*"),)
ANN, BOB = {"user": "ann"}, {"user": "bob"}


def requests(count: int, match=BY_USER) -> list[RateLimit]:
    """One limit on requests."""
    return [RateLimit(match, requests_per_minute=count)]


def tokens(count: int) -> list[RateLimit]:
    """One limit on tokens."""
    return [RateLimit(BY_USER, tokens_per_minute=count)]


def test_the_last_one_allowed_passes_and_the_next_does_not():
    """With the limit, the value and the wait that it takes."""
    counts, limits = RateCounts(), requests(3)
    for second in range(3):
        assert isinstance(counts.take(limits, ANN, 0, second), Taken)
    refused = counts.take(limits, ANN, 0, 10)
    assert refused == Exceeded(limits[0], Measure.REQUESTS, 3, ("ann",), WINDOW_S - 10)


def test_room_comes_back_when_the_first_is_a_minute_old():
    """Not before, and one at a time."""
    counts, limits = RateCounts(), requests(2)
    counts.take(limits, ANN, 0, 0)
    counts.take(limits, ANN, 0, 30)
    assert isinstance(counts.take(limits, ANN, 0, 59.9), Exceeded)
    assert isinstance(counts.take(limits, ANN, 0, 60), Taken)
    assert isinstance(counts.take(limits, ANN, 0, 60), Exceeded)
    assert isinstance(counts.take(limits, ANN, 0, 90), Taken)


def test_a_steady_pace_at_the_limit_is_never_refused():
    """Sixty a minute is one a second, for ever."""
    counts, limits = RateCounts(), requests(60)
    assert all(isinstance(counts.take(limits, ANN, 0, second), Taken) for second in range(500))


def test_a_quick_and_steady_pace_is_not_refused_either():
    """What comes close together is counted together for a moment, and not for ever."""
    counts, limits = RateCounts(), requests(160)
    assert all(isinstance(counts.take(limits, ANN, 0, n * 0.4), Taken) for n in range(500))


def test_refused_requests_take_nothing():
    """Who keeps knocking is let in when there is room."""
    counts, limits = RateCounts(), requests(1)
    counts.take(limits, ANN, 0, 0)
    for tenth in range(1, 600):
        assert isinstance(counts.take(limits, ANN, 0, tenth / 10), Exceeded)
    assert isinstance(counts.take(limits, ANN, 0, 60), Taken)


def test_each_value_is_counted_apart():
    """And who names none is one value too."""
    counts, limits = RateCounts(), requests(1)
    for labels in (ANN, BOB, {}):
        assert isinstance(counts.take(limits, labels, 0, 0), Taken)
        assert isinstance(counts.take(limits, labels, 0, 1), Exceeded)


def test_only_the_named_labels_tell_values_apart():
    """Another feature is no new allowance for a user."""
    counts, limits = RateCounts(), requests(1)
    counts.take(limits, {**ANN, "feature": "a"}, 0, 0)
    assert isinstance(counts.take(limits, {**ANN, "feature": "b"}, 0, 0), Exceeded)


def test_a_user_is_one_of_a_tenant():
    """The same name elsewhere is somebody else; in one tenant it is the same in every limit."""
    counts, limits = RateCounts(), requests(1)
    assert isinstance(counts.take(limits, {**ANN, "tenant": "a"}, 0, 0), Taken)
    assert isinstance(counts.take(limits, {**ANN, "tenant": "b"}, 0, 0), Taken)
    refused = counts.take(limits, {**ANN, "tenant": "a"}, 0, 0)
    assert (refused.values, refused.measure) == (("ann",), Measure.REQUESTS)


def test_what_names_no_user_is_counted_across_tenants():
    """A department's limit is the operator's, whoever uses it."""
    counts, limits = RateCounts(), requests(1, (("department", "*"),))
    assert isinstance(counts.take(limits, {"department": "hr", "tenant": "a"}, 0, 0), Taken)
    assert isinstance(counts.take(limits, {"department": "hr", "tenant": "b"}, 0, 0), Exceeded)


def test_a_limit_holds_for_what_all_its_patterns_match():
    """Others are neither counted nor refused."""
    counts = RateCounts()
    limits = requests(1, (("department", "s*"), ("model", "gpt-?")))
    for labels in ({"department": "hr", "model": "gpt-4"}, {"department": "sales", "model": "o"}):
        assert all(isinstance(counts.take(limits, labels, 0, 0), Taken) for _ in range(3))
    both = {"department": "sales", "model": "gpt-4"}
    assert isinstance(counts.take(limits, both, 0, 0), Taken)
    assert isinstance(counts.take(limits, both, 0, 0), Exceeded)


def test_a_limit_without_patterns_counts_all_together():
    """For the process as a whole."""
    counts, limits = RateCounts(), requests(1, ())
    counts.take(limits, ANN, 0, 0)
    assert isinstance(counts.take(limits, BOB, 0, 0), Exceeded)


def test_what_one_limit_refuses_takes_nothing_from_another():
    """Neither in whichever order they stand."""
    wide, narrow = requests(2, ()), requests(1)
    for limits in (wide + narrow, narrow + wide):
        counts = RateCounts()
        counts.take(limits, ANN, 0, 0)
        assert isinstance(counts.take(limits, ANN, 0, 0), Exceeded)
        assert isinstance(counts.take(limits, BOB, 0, 0), Taken)


def test_of_several_limits_the_longest_wait_is_told():
    """Who waits for the shorter one would be refused again."""
    counts = RateCounts()
    first, second = requests(1, ()), requests(1)
    counts.take(second, ANN, 0, 20)
    counts.take(first, BOB, 0, 0)
    for limits in (first + second, second + first):
        refused = counts.take(limits, ANN, 0, 30)
        assert (refused.limit, refused.wait_s) == (second[0], 50)


def test_what_never_has_room_is_told_before_any_wait():
    """Who came again after the wait would be refused again, in whichever order limits stand."""
    counts, few = RateCounts(), requests(1, ())
    counts.take(few, ANN, 0, 0)
    for limits in (few + tokens(100), tokens(100) + few):
        refused = counts.take(limits, ANN, 101, 30)
        assert (refused.measure, refused.wait_s) == (Measure.TOKENS, None)


def test_limits_with_the_same_patterns_count_a_request_once():
    """Requests and tokens may stand in entries of their own."""
    counts, limits = RateCounts(), requests(2) + tokens(100)
    for _ in range(2):
        assert isinstance(counts.take(limits, ANN, 50, 0), Taken)
    assert counts.take(limits, ANN, 0, 0).measure is Measure.REQUESTS


def test_tokens_are_taken_by_estimate():
    """And come back with the minute."""
    counts, limits = RateCounts(), tokens(100)
    assert isinstance(counts.take(limits, ANN, 60, 0), Taken)
    refused = counts.take(limits, ANN, 60, 10)
    assert (refused.measure, refused.wait_s) == (Measure.TOKENS, 50)
    assert isinstance(counts.take(limits, ANN, 40, 10), Taken)


@pytest.mark.parametrize(("real", "left"), [(0, 100), (10, 90), (60, 40), (99, 1)])
def test_the_real_number_takes_the_estimates_place(real, left):
    """What was not used can be used by others; settling again changes nothing."""
    counts, limits = RateCounts(), tokens(100)
    taken = counts.take(limits, ANN, 60, 0)
    taken.settle(real)
    taken.settle(real)
    assert isinstance(counts.take(limits, ANN, left + 1, 1), Exceeded)
    assert isinstance(counts.take(limits, ANN, left, 1), Taken)


def test_more_than_was_estimated_is_counted_too():
    """The next one waits until it is over."""
    counts, limits = RateCounts(), tokens(100)
    counts.take(limits, ANN, 10, 0).settle(500)
    assert counts.take(limits, ANN, 1, 5).wait_s == 55
    assert isinstance(counts.take(limits, ANN, 100, 60), Taken)


def test_what_is_settled_after_its_minute_changes_nothing():
    """A long answer must not give back what was forgotten already."""
    counts, limits = RateCounts(), tokens(100)
    taken = counts.take(limits, ANN, 60, 0)
    for time in (30, 61):
        assert isinstance(counts.take(limits, ANN, 20, time), Taken)
    taken.settle(0)
    assert isinstance(counts.take(limits, ANN, 61, 62), Exceeded)
    assert isinstance(counts.take(limits, ANN, 60, 62), Taken)


def test_what_came_together_leaves_with_the_last_of_it():
    """Else a minute that begins between the two would hold more than the limit."""
    counts, limits = RateCounts(), requests(2)
    counts.take(limits, ANN, 0, 0)
    counts.take(limits, ANN, 0, 0.4)
    assert isinstance(counts.take(limits, ANN, 0, 60.3), Exceeded)
    assert isinstance(counts.take(limits, ANN, 0, 60.4), Taken)


def test_what_alone_is_over_the_limit_never_has_room():
    """Waiting would not help, so no wait is told."""
    refused = RateCounts().take(tokens(100), ANN, 101, 0)
    assert (refused.wait_s, refused.allowed) == (None, 100)


def test_values_that_come_and_go_are_forgotten():
    """Memory holds who asked within the minute, and little more."""
    counts, limits = RateCounts(), requests(1)
    for number in range(5000):
        counts.take(limits, {"user": str(number)}, 0, number)
    assert len(counts) <= WINDOW_S + IDLE_FORGOTTEN


def test_beyond_the_most_values_the_oldest_is_forgotten():
    """Who asks keeps its count, however many others come."""
    counts, limits = RateCounts(max_values=10), requests(50)
    for number in range(50):
        assert isinstance(counts.take(limits, ANN, 0, 0), Taken)
        counts.take(limits, {"user": str(number)}, 0, 0)
    assert len(counts) <= 10
    assert isinstance(counts.take(limits, ANN, 0, 0), Exceeded)


def test_no_limit_of_a_request_loses_its_count_to_another():
    """Windows that are still empty are not taken for idle."""
    counts = RateCounts()
    limits = requests(1) + requests(5, ()) + requests(5, (("model", "*"),))
    counts.take(limits, ANN, 0, 0)
    assert isinstance(counts.take(limits, ANN, 0, 1), Exceeded)


TIMES = st.lists(st.floats(0, 20), min_size=1, max_size=150)


@given(gaps=TIMES, allowed=st.integers(1, 20))
def test_no_minute_holds_more_than_the_limit(gaps, allowed):
    """Wherever it begins; and whoever waits as long as told is let in."""
    counts, limits, now = RateCounts(), requests(allowed), 0.0
    passed: list[float] = []
    for gap in gaps:
        now += gap
        answer = counts.take(limits, ANN, 0, now)
        if isinstance(answer, Exceeded):
            assert 0 < answer.wait_s <= WINDOW_S + 1e-6  # the sum of two times is rounded
            now += answer.wait_s + 1e-6
            assert isinstance(counts.take(limits, ANN, 0, now), Taken)
        passed.append(now)
    for place, end in enumerate(passed):
        within = [time for time in passed[: place + 1] if end - time < WINDOW_S - 1e-6]
        assert len(within) <= allowed


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 60), st.integers(0, 60)), max_size=60))
def test_tokens_never_drift(asked):
    """After a minute of silence all of them are there again, however they were settled."""
    counts, limits, now = RateCounts(), tokens(100), 0.0
    for gap, estimate, real in asked:
        now += gap
        answer = counts.take(limits, ANN, estimate, now)
        if isinstance(answer, Taken):
            answer.settle(real)
    assert isinstance(counts.take(limits, ANN, 100, now + WINDOW_S + 1e-6), Taken)

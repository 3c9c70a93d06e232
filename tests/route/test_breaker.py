"""The breaker's table of transitions, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.route.breaker import (
    CLOSED,
    FORCED_EVERY_S,
    Admission,
    Breaker,
    State,
    Word,
    asked,
    heard,
)
from sidecar.route.policy import BreakerPolicy

POLICY = BreakerPolicy(failures=3, window_s=10.0, open_s=5.0)
OPEN = Breaker(State.OPEN, until=100.0, forced_from=90.0)
HALF_OPEN = Breaker(State.HALF_OPEN)
FREE, PROBE = Admission.FREE, Admission.PROBE


def after(*words: tuple[float, Word], policy: BreakerPolicy = POLICY) -> Breaker:
    """A closed breaker that has heard these words at these times."""
    breaker = CLOSED
    for at, word in words:
        breaker = heard(breaker, word, at, policy, FREE)
    return breaker


@pytest.mark.parametrize(
    ("breaker", "now", "forced", "state", "admission"),
    [
        (CLOSED, 0.0, False, State.CLOSED, Admission.FREE),
        (OPEN, 99.9, False, State.OPEN, Admission.REFUSED),
        (OPEN, 100.0, False, State.HALF_OPEN, Admission.PROBE),
        (OPEN, 89.9, True, State.OPEN, Admission.REFUSED),
        (OPEN, 90.0, False, State.OPEN, Admission.REFUSED),
        (OPEN, 90.0, True, State.HALF_OPEN, Admission.PROBE),
        (HALF_OPEN, 500.0, False, State.HALF_OPEN, Admission.REFUSED),
        (HALF_OPEN, 500.0, True, State.HALF_OPEN, Admission.REFUSED),
    ],
)
def test_who_is_let_through(breaker, now, forced, state, admission):
    """One probe at a time, when it is due or nobody else is left."""
    told = asked(breaker, now, forced=forced)
    assert (told[0].state, told[1]) == (state, admission)


@pytest.mark.parametrize(
    ("word", "state", "until"),
    [
        (Word.WELL, State.CLOSED, 0.0),
        (Word.UNWELL, State.OPEN, 205.0),
        (Word.UNSAID, State.OPEN, 200.0),
    ],
)
def test_the_probe_decides(word, state, until):
    """A probe that ended without a word leaves the next call to try."""
    told = heard(HALF_OPEN, word, 200.0, POLICY, PROBE)
    assert (told.state, told.until, told.failures) == (state, until, ())


@pytest.mark.parametrize("breaker", [OPEN, HALF_OPEN], ids=["open", "half-open"])
@pytest.mark.parametrize("word", list(Word))
def test_who_was_asked_before_it_opened_changes_nothing(breaker, word):
    """What ends late tells of the past."""
    assert heard(breaker, word, 200.0, POLICY, FREE) is breaker


def test_it_opens_at_the_last_of_so_many_failures():
    """Not one sooner; and it is due after its time."""
    assert after((0, Word.UNWELL), (1, Word.UNWELL)).state is State.CLOSED
    opened = after((0, Word.UNWELL), (1, Word.UNWELL), (2, Word.UNWELL))
    assert (opened.state, opened.until) == (State.OPEN, 7.0)


def test_failures_count_within_the_window_alone():
    """Three a day are no outage."""
    assert after((0, Word.UNWELL), (1, Word.UNWELL), (10, Word.UNWELL)).state is State.CLOSED
    assert after((0, Word.UNWELL), (1, Word.UNWELL), (9.9, Word.UNWELL)).state is State.OPEN


def test_a_success_forgives_one_failure():
    """So that a busy target survives its few in a thousand."""
    words = [Word.UNWELL, Word.UNWELL, Word.WELL, Word.UNWELL]
    assert after(*enumerate(words)).state is State.CLOSED
    assert after(*enumerate([*words, Word.UNWELL])).state is State.OPEN


def test_success_is_no_credit():
    """A target that was well all day opens as fast as any other."""
    words = [Word.WELL] * 50 + [Word.UNWELL] * 3
    assert after(*((number / 100, word) for number, word in enumerate(words))).state is State.OPEN


def test_who_left_says_nothing_of_the_target():
    """Impatient callers open no breaker."""
    assert after(*((0, Word.UNSAID) for _ in range(50))) is CLOSED


def test_forced_probes_of_an_outage_are_spaced():
    """The first at once, each next one a second after the last has failed, whoever asks."""
    breaker = after((0, Word.UNWELL), (1, Word.UNWELL), (2, Word.UNWELL))
    probes = []
    for now in (2 + tenth / 10 for tenth in range(31)):
        breaker, admission = asked(breaker, now, forced=True)
        if admission is PROBE:
            probes.append(now)
            breaker = heard(breaker, Word.UNWELL, now, POLICY, PROBE)
    assert probes == [2.0, 3.0, 4.0, 5.0]
    assert FORCED_EVERY_S == 1.0


def test_a_forced_probe_that_is_not_due_waits_no_longer_than_any_other():
    """A breaker that is due sooner than the spacing lets its probe through."""
    hasty = BreakerPolicy(failures=1, window_s=10.0, open_s=0.2)
    breaker = heard(HALF_OPEN, Word.UNWELL, 10.0, hasty, PROBE)
    assert asked(breaker, 10.1, forced=True)[1] is Admission.REFUSED
    assert asked(breaker, 10.2, forced=True)[1] is PROBE


def test_a_clock_that_goes_back_lets_nobody_through_and_forgets_nothing():
    """Failures of what looks like the future still count, and the door stays shut."""
    breaker = after((50, Word.UNWELL), (40, Word.UNWELL), (30, Word.UNWELL))
    assert breaker.state is State.OPEN
    assert asked(breaker, 1.0)[1] is Admission.REFUSED


@given(
    st.lists(st.tuples(st.floats(0, 20), st.sampled_from(list(Word)), st.booleans()), max_size=60)
)
def test_at_most_one_probe_is_under_way(story):
    """Whatever happens: while half-open nobody else goes, and a word of the probe ends it."""
    breaker, now, probes = CLOSED, 0.0, 0
    for passed, word, ends_probe in story:
        now += passed
        breaker, admission = asked(breaker, now)
        probes += admission is PROBE
        assert probes <= 1
        assert (breaker.state is State.HALF_OPEN) == bool(probes)
        if probes and ends_probe:
            breaker, probes = heard(breaker, word, now, POLICY, PROBE), 0
            assert breaker.state is not State.HALF_OPEN
        elif admission is FREE:
            breaker = heard(breaker, word, now, POLICY, FREE)
        assert len(breaker.failures) < POLICY.failures

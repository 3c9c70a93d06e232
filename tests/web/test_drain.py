"""The end of a process that others still call."""

import math

import pytest

from sidecar.errors import DrainingError
from sidecar.web.drain import REFUSE_BEFORE_END_S, Drain


def test_before_the_end_is_announced_every_call_is_answered(clock):
    """However long it runs."""
    drain = Drain(clock, 20)
    clock.advance(1e9)
    drain.check()
    assert (drain.active, drain.refuses_in_s, drain.ends_in_s) == (False, math.inf, math.inf)


def test_after_the_announcement_calls_are_still_answered(clock):
    """Until 5 s before the end: the news takes time to travel."""
    drain = Drain(clock, 20)
    drain.begin()
    drain.check()
    assert (drain.active, drain.refuses_in_s, drain.ends_in_s) == (True, 15, 20)
    clock.advance(14.5)
    drain.check()
    assert (drain.refuses_in_s, drain.ends_in_s) == (0.5, 5.5)


@pytest.mark.parametrize("after_s", [15, 17, 20, 1000])
def test_near_the_end_calls_are_refused(clock, after_s):
    """With 503, and the advice to call again at once: elsewhere."""
    drain = Drain(clock, 20)
    drain.begin()
    clock.advance(after_s)
    with pytest.raises(DrainingError) as caught:
        drain.check()
    error = caught.value
    assert (error.status, error.code, error.headers) == (503, "draining", {"retry-after": "1"})
    assert drain.refuses_in_s == 0


def test_times_left_are_never_negative(clock):
    """Whoever sleeps for them wakes up."""
    drain = Drain(clock, 20)
    drain.begin()
    clock.advance(100)
    assert (drain.refuses_in_s, drain.ends_in_s) == (0, 0)


def test_a_second_announcement_changes_nothing(clock):
    """The first one counts, and doesn't begin anew."""
    drain = Drain(clock, 20)
    drain.begin()
    clock.advance(10)
    drain.begin()
    assert drain.ends_in_s == 10


@pytest.mark.parametrize("drain_s", [0, 3, REFUSE_BEFORE_END_S])
def test_a_short_drain_refuses_at_once(clock, drain_s):
    """There is no time to answer what comes new."""
    drain = Drain(clock, drain_s)
    drain.begin()
    with pytest.raises(DrainingError):
        drain.check()
    assert drain.ends_in_s == drain_s

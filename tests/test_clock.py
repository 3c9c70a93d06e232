"""The only clock."""

from sidecar.clock import ManualClock, SystemClock


def test_a_manual_clock_stands_still():
    """Nothing but the test moves it."""
    clock = ManualClock(5.0)
    assert (clock.now(), clock.now(), clock.tick()) == (5.0, 5.0, 5.0)


def test_a_manual_clock_moves_both_hands():
    """Wall time and elapsed time go forward together."""
    clock = ManualClock(5.0)
    clock.advance(2.5)
    assert (clock.now(), clock.tick()) == (7.5, 7.5)


def test_ticks_of_the_machine_never_decrease():
    """Durations are never negative."""
    clock = SystemClock()
    ticks = [clock.tick() for _ in range(100)]
    assert ticks == sorted(ticks)

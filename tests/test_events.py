"""What observers break is nothing to the request."""

import logging

import pytest

from sidecar.events import EntriesEvicted, Observers

EVENT = EntriesEvicted("expired", 1)


def broken(_: object) -> None:
    """An observer whose disk is gone."""
    raise RuntimeError("disk gone")


def test_every_observer_is_told_in_order():
    """One fact, all sinks."""
    heard = []
    observers = Observers(lambda e: heard.append(("a", e)), lambda e: heard.append(("b", e)))
    observers.tell(EVENT)
    assert heard == [("a", EVENT), ("b", EVENT)]


def test_a_broken_observer_stops_neither_the_request_nor_the_others():
    """Those behind it hear the event all the same."""
    heard = []
    Observers(broken, heard.append).tell(EVENT)
    assert heard == [EVENT]


def test_a_broken_observer_is_complained_about_once(caplog):
    """A sink that fails on each request doesn't fill the log."""
    observers = Observers(broken)
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            observers.tell(EVENT)
    assert len(caplog.records) == 1


def test_two_broken_observers_are_both_named(caplog):
    """The second one's silence is not the first one's fault."""
    with caplog.at_level(logging.ERROR):
        Observers(broken, lambda _: 1 / 0).tell(EVENT)
    assert len(caplog.records) == 2


def test_an_observer_added_later_hears_from_then_on():
    """Sinks may come when their parts are opened."""
    observers, heard = Observers(), []
    observers.tell(EVENT)
    observers.add(heard.append)
    observers.tell(EVENT)
    assert heard == [EVENT]


def test_the_end_of_the_process_is_not_swallowed():
    """Only failures are: an interrupt goes through."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Observers(interrupted).tell(EVENT)

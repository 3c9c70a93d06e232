"""How each target fares, and what its failures say of it."""

from __future__ import annotations

import pytest

from sidecar.errors import UpstreamError, UpstreamInvalidError, UpstreamRefusedError
from sidecar.events import BreakerChanged
from sidecar.route.breaker import Admission, State, Word
from sidecar.route.health import Health, TargetHealth, word_of
from sidecar.route.policy import BreakerPolicy
from sidecar.route.table import Target

ONCE = BreakerPolicy(failures=1, window_s=30.0, open_s=30.0)
OLD, NEW = Target("p", "m", edition=1), Target("p", "m", edition=2)


def refused(status: int, reason: str) -> UpstreamRefusedError:
    """A provider's 4xx that callers may read."""
    return UpstreamRefusedError("no", reason=reason, upstream_status=status, body=b"{}")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (refused(400, "status_400"), Word.WELL),
        (refused(429, "rate_limited"), Word.WELL),
        (refused(400, "context_window"), Word.WELL),
        (refused(400, "content_filter"), Word.WELL),
        (refused(401, "auth"), Word.WELL),
        (refused(429, "client_quota"), Word.WELL),
        (refused(429, "insufficient_quota"), Word.UNWELL),
        (UpstreamError("no", reason="auth", upstream_status=401), Word.UNWELL),
        (UpstreamError("no", reason="overloaded", upstream_status=529), Word.UNWELL),
        (UpstreamError("no", reason="connect", never_sent=True), Word.UNWELL),
        (UpstreamError("no", reason="timeout_total"), Word.UNWELL),
        (UpstreamInvalidError("no", reason="malformed"), Word.UNWELL),
    ],
    ids=lambda told: getattr(told, "reason", None),
)
def test_what_a_failure_says_of_the_target(error, word):
    """One caller's bad key, empty purse or long prompt opens no breaker for the others."""
    assert word_of(error) is word


@pytest.fixture
def told() -> list[BreakerChanged]:
    """What observers hear."""
    return []


@pytest.fixture
def health(told) -> Health:
    """Nobody was asked yet."""
    return Health(told.append)


def fail(health: TargetHealth) -> None:
    """One failed attempt."""
    health.heard(Word.UNWELL, health.admit(0.0), ONCE, 0.0)


def test_routes_share_what_is_known_of_a_target(health):
    """Whatever its weight in each of them."""
    fail(health.of(OLD))
    assert health.of(Target("p", "m", 5, edition=1)).is_open
    assert not health.of(Target("p", "other", edition=1)).is_open
    assert not health.of(Target("q", "m", edition=1)).is_open


def test_a_new_edition_starts_afresh_and_that_is_told(health, told):
    """Who changed a wrong address waits for no breaker, and no gauge shows the old state."""
    fail(health.of(OLD))
    fresh = health.of(NEW)
    assert fresh.admit(0.0) is Admission.FREE
    assert told == [BreakerChanged("p", "m", State.OPEN), BreakerChanged("p", "m", State.CLOSED)]
    assert health.states(0.0)["p", "m"]["state"] == "closed"
    assert health.of(NEW) is fresh


def test_one_that_was_well_is_replaced_without_a_word(health, told):
    """Nothing has changed for who watches."""
    health.of(OLD)
    health.of(NEW)
    assert told == []


def test_calls_from_before_say_nothing_of_the_new_edition(health, told):
    """Neither one that was under way, nor one that comes to the target only now."""
    under_way = health.of(OLD)
    fresh = health.of(NEW)
    fail(under_way)
    fail(health.of(OLD))
    assert (told, fresh.is_open) == ([], False)
    assert health.of(NEW) is fresh


def test_an_operator_is_told_how_long_it_takes_until_a_probe(health):
    """Only while it is open, and never less than no time."""
    target = health.of(OLD)
    assert target.told(5.0) == {"state": "closed", "failures": 0, "probe_in_s": 0.0}
    fail(target)
    assert target.told(10.0) == {"state": "open", "failures": 0, "probe_in_s": 20.0}
    assert target.told(31.0)["probe_in_s"] == 0.0
    target.admit(31.0)
    assert target.told(31.0) == {"state": "half_open", "failures": 0, "probe_in_s": 0.0}

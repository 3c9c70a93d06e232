"""What follows from a failure, decided from facts alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import UpstreamError, UpstreamInvalidError, UpstreamRefusedError
from sidecar.route.policy import FallbackOn, RetryPolicy
from sidecar.route.retry import (
    Move,
    Occasion,
    Repeat,
    RetryBudget,
    backoff_s,
    is_rate_limited,
    next_step,
    retry_after_s,
)

POLICY = RetryPolicy(attempts=3, base_s=0.2, max_s=5.0)
FAILURE = frozenset({FallbackOn.FAILURE})
NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
FIRST = Occasion(tried=1, left_s=math.inf, now=NOW, draw=0.5)


def refused(status: int, reason: str = "", **headers: str) -> UpstreamRefusedError:
    """A provider's 4xx."""
    return UpstreamRefusedError(
        "no",
        reason=reason or f"status_{status}",
        upstream_status=status,
        body=b"{}",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def failed(status: int | None = None, reason: str = "", *, never_sent: bool = False):
    """Any other failure."""
    word = reason or f"status_{status}"
    return UpstreamError("no", reason=word, upstream_status=status, never_sent=never_sent)


def step(error, occasion=FIRST, policy=POLICY, fallback_on=FAILURE):
    """What follows."""
    return next_step(error, policy, fallback_on, occasion)


@pytest.mark.parametrize(
    "error",
    [
        *(failed(status) for status in (408, 500, 502, 503, 504, 529)),
        refused(429),
        refused(429, "rate_limited"),
        failed(503, "overloaded"),
        failed(None, "overloaded"),
        *(failed(None, word, never_sent=True) for word in ("connect", "dns", "timeout_connect")),
    ],
    ids=lambda error: f"{error.reason}-{error.upstream_status}",
)
def test_what_was_not_worked_on_is_asked_again(error):
    """After the drawn part of the first bound."""
    assert step(error) == Repeat(pytest.approx(0.1))


@pytest.mark.parametrize(
    "word",
    [
        "disconnect",
        "reset",
        "cut",
        "timeout_first_token",
        "timeout_between_tokens",
        "timeout_total",
    ],
)
def test_what_may_have_been_worked_on_is_repeated_by_permission_alone(word):
    """Elsewhere it may be asked: that is another's bill, and config names who."""
    assert step(failed(None, word)) is Move.NEXT_TARGET
    allowed = RetryPolicy(attempts=3, base_s=0.2, max_s=5.0, ambiguous=True)
    assert step(failed(None, word), policy=allowed) == Repeat(pytest.approx(0.1))


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_the_callers_fault_ends_it(status):
    """Nobody else is bothered with it."""
    assert step(refused(status)) is Move.GIVE_UP


@pytest.mark.parametrize(
    "error",
    [
        refused(429, "insufficient_quota"),
        failed(401, "auth"),
        UpstreamInvalidError("no", reason="malformed"),
        UpstreamInvalidError("no", reason="redirect", upstream_status=302),
        failed(None, "provider_error"),
    ],
    ids=lambda error: error.reason,
)
def test_what_would_fail_again_goes_elsewhere_at_once(error):
    """A spent quota comes back next month, not in a second."""
    assert step(error) is Move.NEXT_TARGET


def test_a_key_of_the_callers_own_is_the_callers_to_mend():
    """Another target, asked with our key, would let anybody in; our own key's fault goes on."""
    assert step(refused(401, "auth")) is Move.GIVE_UP
    assert step(failed(401, "auth")) is Move.NEXT_TARGET


def test_a_spent_quota_is_no_rate_limit_whosever_it_is():
    """To wait for it is in vain; others may answer at once."""
    for word in ("insufficient_quota", "client_quota"):
        assert not is_rate_limited(refused(429, word))
        assert step(refused(429, word, retry_after="1")) is Move.NEXT_TARGET
    assert is_rate_limited(refused(429))
    assert is_rate_limited(failed(None, "rate_limited"))


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("context_window", FallbackOn.CONTEXT_WINDOW),
        ("content_filter", FallbackOn.CONTENT_FILTER),
    ],
)
def test_limits_of_a_model_go_to_the_fallbacks_where_config_says_so(word, why):
    """And are the caller's to mend where it doesn't."""
    assert step(refused(400, word), fallback_on=frozenset({why})) is Move.FALLBACK
    assert step(refused(400, word), fallback_on=frozenset(FallbackOn) - {why}) is Move.GIVE_UP


@pytest.mark.parametrize(("tried", "goes_on"), [(1, True), (2, True), (3, False), (4, False)])
def test_a_target_is_asked_as_often_as_the_policy_says(tried, goes_on):
    """The first time counts."""
    assert isinstance(step(failed(500), FIRST._replace(tried=tried)), Repeat) is goes_on


def test_a_wait_that_the_caller_has_no_time_for_is_not_begun():
    """The next target may still make it."""
    assert step(failed(500), FIRST._replace(left_s=0.1)) is Move.NEXT_TARGET
    assert step(failed(500), FIRST._replace(left_s=0.11)) == Repeat(pytest.approx(0.1))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "2"}, Repeat(2.0)),
        ({"retry_after": "5"}, Repeat(5.0)),
        ({"retry_after": "5.001"}, Move.NEXT_TARGET),
        ({"retry_after": "0"}, Repeat(pytest.approx(0.1))),
        ({"x_should_retry": "false"}, Move.NEXT_TARGET),
        ({"x_should_retry": "true"}, Repeat(pytest.approx(0.1))),
    ],
)
def test_what_a_provider_asks_for_is_obeyed(headers, expected):
    """Never sooner than told, and not at all where that is longer than the route waits."""
    assert step(refused(429, **headers)) == expected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "x-ms-retry-after-ms": "9", "retry-after": "9"}, 1.5),
        ({"x-ms-retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "0.75"}, 0.75),
        ({"Retry-After": "3"}, 3.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT"}, 10.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "-1", "retry-after": "4"}, 4.0),
        ({"retry-after-ms": "soon", "retry-after": "4"}, 4.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9e99"}, 86_400.0),
        ({"retry-after-ms": "1e308"}, 86_400.0),
        ({"retry-after": "Sun, 06 Nov 2094 08:49:47 GMT"}, 86_400.0),
        ({"retry-after": "Sun Nov  6 08:49:47 1994"}, 10.0),
        ({"retry-after": "Sun, 06 Nov 1994 09:49:47 +0100"}, 10.0),
        ({"retry-after": "Sun, 06 Nov 999999 08:49:47 GMT"}, None),
        ({"retry-after": "Sun, 99 Foo 1994 99:49:47 GMT"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_the_time_to_wait_is_read_in_this_order(headers, seconds):
    """The finer figure first; what makes no sense is as if it were not there."""
    assert retry_after_s(headers, NOW) == seconds


@given(st.text(), st.floats(0, 4e9))
def test_no_header_breaks_it(line, now):
    """Whatever a provider sends, it is a wait of some length or nothing."""
    told = retry_after_s({"retry-after": line}, now)
    assert told is None or (math.isfinite(told) and told >= 0)


@given(
    st.integers(1, 5000), st.floats(0, 1, exclude_max=True), st.floats(0, 600), st.floats(0, 600)
)
def test_the_back_off_is_bounded(tried, draw, base_s, max_s):
    """By the policy's longest wait, and by its doubled base before that."""
    waited = backoff_s(RetryPolicy(base_s=base_s, max_s=max_s), tried, draw)
    assert 0 <= waited <= max_s
    assert waited <= base_s * 2 ** min(tried - 1, 60)


def test_the_bound_doubles_until_it_is_cut():
    """Full jitter: the draw is of the whole bound."""
    bounds = [backoff_s(RetryPolicy(base_s=0.2, max_s=1.0), tried, 1.0) for tried in (1, 2, 3, 4)]
    assert bounds == pytest.approx([0.2, 0.4, 0.8, 1.0])
    assert backoff_s(POLICY, 3, 0.0) == 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refused(429), True),
        (failed(None, "rate_limited"), True),
        (refused(429, "insufficient_quota"), False),
        (failed(503, "overloaded"), False),
    ],
)
def test_a_rate_limit_is_told_from_a_spent_quota(error, expected):
    """One ends by itself."""
    assert is_rate_limited(error) is expected


def test_an_outage_is_not_multiplied():
    """Of a thousand calls within a second about a fifth are asked again, not two thousand."""
    budget, retries = RetryBudget(), 0
    for number in range(1000):
        budget.called()
        retries += sum(budget.take(number / 1000) for _ in range(2))
    assert 200 <= retries <= 1000 * RetryBudget.SHARE + RetryBudget.MOST + 1


def test_a_quiet_target_may_always_be_asked_again():
    """The floor: a few calls a minute never run dry."""
    budget = RetryBudget()
    for number in range(100):
        budget.called()
        assert budget.take(number * 4.0)
        assert budget.take(number * 4.0)


def test_a_budget_that_is_spent_fills_with_time():
    """And no further than it was at first."""
    budget = RetryBudget()
    while budget.take(0.0):
        pass
    assert not budget.take(1.0 / RetryBudget.FLOOR_PER_S - 0.1)
    assert budget.take(2.0 / RetryBudget.FLOOR_PER_S)
    assert sum(budget.take(1e9) for _ in range(100)) == RetryBudget.MOST


def test_a_clock_that_goes_back_takes_no_retry_away():
    """And gives none: only time that has passed fills the budget."""
    budget = RetryBudget()
    assert budget.take(1000.0)
    assert sum(budget.take(0.0) for _ in range(100)) == RetryBudget.MOST - 1


def test_calls_without_end_save_no_more_than_a_full_budget():
    """A day of good calls must not pay for an outage's storm."""
    budget = RetryBudget()
    for _ in range(1000):
        budget.called()
    assert sum(budget.take(0.0) for _ in range(100)) == RetryBudget.MOST
    for _ in range(1000):
        budget.called()
    assert sum(budget.take(0.0) for _ in range(100)) == RetryBudget.MOST

"""Who is asked, in which order, and what is told when nobody answers."""

import pytest

from sidecar.domain import Attempt
from sidecar.errors import (
    InvalidRequestError,
    UpstreamError,
    UpstreamInvalidError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)
from sidecar.route.errand import Candidate, Errand
from sidecar.route.policy import FallbackOn
from sidecar.route.retry import Move
from sidecar.route.table import Route, Target

A, B, DRAINED = Target("a", "m", 50), Target("b", "m", 50), Target("c", "m", 0)
SPARE, LAST = Target("spare", "n"), Target("last", "n")
NOW = 1_700_000_000.0


@pytest.fixture
def errand(make_call):
    """A call on a route of two targets and two fallbacks, with `changes` of the route."""

    def make(**changes: object) -> Errand:
        told = {"targets": (A, B, DRAINED), "fallbacks": (SPARE, LAST), **changes}
        return Errand(make_call(), Route("gpt-4o", **told), [])

    return make


def refused(status: int, reason: str = "", **headers: str) -> UpstreamRefusedError:
    """A provider's 4xx."""
    word = reason or f"status_{status}"
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return UpstreamRefusedError("no", reason=word, upstream_status=status, body=b"{}", headers=told)


def failed(reason: str = "status_500", status: int | None = 500) -> UpstreamError:
    """A provider's own failure."""
    return UpstreamError("no", reason=reason, upstream_status=status)


def names(errand: Errand, draw: float = 0.0) -> list[str]:
    """Whom it would ask if nobody answered."""
    return [candidate.target.provider for candidate in errand.candidates(draw)]


def tell(errand: Errand, *stories: tuple[Target, Exception]) -> Errand:
    """The errand after these failures, each at the last try of its target."""
    for target, error in stories:
        candidate = Candidate(target, target in (SPARE, LAST))
        errand.attempts.append(
            Attempt(target.provider, target.model, None, getattr(error, "reason", "-"), 1.0)
        )
        errand.failed(candidate, error, errand.occasion(99, NOW, 0.5))
    return errand


@pytest.mark.parametrize(
    ("draw", "order"), [(0.0, ["a", "b"]), (0.49, ["a", "b"]), (0.5, ["b", "a"])]
)
def test_the_drawn_target_comes_first_then_the_others_then_the_fallbacks(errand, draw, order):
    """A target without weight is asked by nobody."""
    assert names(errand(), draw) == [*order, "spare", "last"]


def test_nobody_is_asked_twice(errand):
    """A fallback that is a target already has had its turn."""
    assert names(errand(fallbacks=(B, SPARE, SPARE))) == ["a", "b", "spare"]


def test_fallbacks_answer_for_failures_only_where_config_says_so(errand):
    """The route's own targets do in any case."""
    assert names(errand(fallback_on=frozenset())) == ["a", "b"]


def test_what_is_too_long_for_one_goes_past_the_others(errand):
    """They are the same model; a fallback has another window, and failure is not asked for."""
    asked = errand(fallback_on=frozenset({FallbackOn.CONTEXT_WINDOW}))
    told = []
    for candidate in asked.candidates(0.0):
        told.append(candidate.target.provider)
        if candidate.target is A:
            tell(asked, (A, refused(400, "context_window")))
    assert told == ["a", "spare", "last"]


def test_a_refusal_of_a_stand_in_is_not_the_callers_fault(errand):
    """The next may take it; those who were meant to answer have not judged it."""
    asked = errand()
    step = asked.failed(Candidate(SPARE, is_fallback=True), refused(404), asked.occasion(1, NOW, 0))
    assert step is Move.NEXT_TARGET
    assert asked.failed(Candidate(A), refused(404), asked.occasion(1, NOW, 0)) is Move.GIVE_UP


def test_what_cannot_be_said_in_its_words_may_be_said_to_another(errand):
    """A vendor without the word is passed over."""
    asked = errand()
    error = InvalidRequestError("no seed here")
    assert asked.failed(Candidate(A), error, asked.occasion(1, NOW, 0)) is Move.NEXT_TARGET


def test_the_callers_patience_counts_from_the_request(errand, make_call):
    """What earlier targets took is gone."""
    asked = errand()
    assert asked.occasion(1, NOW + 3, 0).left_s == float("inf")
    asked.call = make_call().__class__(
        "r", asked.call.endpoint, asked.call.request, received_at=NOW, timeout_s=5.0
    )
    assert asked.occasion(1, NOW + 3, 0).left_s == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("stories", "status", "code"),
    [
        ([(A, failed()), (B, failed())], 503, "all_targets_failed"),
        ([(A, failed()), (SPARE, refused(404))], 503, "all_targets_failed"),
        ([(A, failed()), (B, UpstreamTimeoutError("no", reason="timeout_total"))], 503, None),
        ([(A, UpstreamTimeoutError("no", reason="timeout_total"))] * 2, 504, "upstream_timeout"),
        ([(A, UpstreamTimeoutError("no", reason="x")), (B, UpstreamTimeoutError("no", reason="y"))],
         504, "upstream_timeout"),
        ([(A, UpstreamInvalidError("no", reason="malformed"))], 502, "upstream_invalid"),
        ([(A, refused(429, retry_after="9")), (B, refused(429, retry_after="4"))],
         429, "rate_limited"),
        ([(A, refused(429)), (B, failed())], 503, "all_targets_failed"),
        ([(A, refused(429, "insufficient_quota"))], 503, "all_targets_failed"),
        ([(A, InvalidRequestError("no"))], 400, "invalid_request"),
        ([(A, InvalidRequestError("no")), (B, failed())], 503, "all_targets_failed"),
        ([], 503, "all_targets_failed"),
    ],
)  # fmt: skip
def test_what_the_caller_is_told(errand, stories, status, code):
    """One story is told as it is, several as what they have in common."""
    error = tell(errand(), *stories).verdict(NOW)
    assert error.status == status
    assert code is None or error.code == code


def test_a_single_targets_rate_limit_is_passed_on_in_its_own_words(errand):
    """With its head: the SDK waits as the provider asks."""
    limit = refused(429, retry_after="9")
    assert tell(errand(), (A, limit), (A, limit)).verdict(NOW) is limit


def test_the_soonest_of_several_limits_is_told(errand):
    """Rounded up, and never a moment."""
    limits = [refused(429, retry_after=told) for told in ("9", "3.2")]
    error = tell(errand(), *zip((A, B), limits, strict=True)).verdict(NOW)
    assert error.headers == {"retry-after": "4"}
    error = tell(errand(), (A, refused(429)), (B, refused(429, retry_after="0"))).verdict(NOW)
    assert error.headers == {"retry-after": "1"}


def test_who_was_passed_over_is_named(errand):
    """Also in the message, for people."""
    asked = errand()
    asked.skip(Candidate(A))
    error = tell(asked, (B, UpstreamTimeoutError("no", reason="timeout_total"))).verdict(NOW)
    assert (asked.attempts[0].reason, asked.attempts[0].ms) == ("breaker_open", 0.0)
    assert error.status == 503
    assert "a/m breaker_open, b/m timeout_total" in error.message


def test_a_refusal_that_fallbacks_could_not_mend_is_the_callers_again(errand):
    """What the fallbacks failed with is not what the caller can mend."""
    long = refused(400, "context_window")
    asked = errand(fallback_on=frozenset(FallbackOn))
    assert tell(asked, (A, long), (SPARE, failed())).verdict(NOW) is long


def test_who_was_passed_over_might_have_said_it(errand):
    """Where a breaker is open the failure is not the caller's: 503, and it may come again."""
    asked = errand()
    asked.skip(Candidate(A))
    assert tell(asked, (B, InvalidRequestError("no seed"))).verdict(NOW).status == 503

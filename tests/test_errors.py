"""The error tree: whose fault, which status, what the client is told."""

import re

import pytest

from sidecar import errors
from sidecar.domain import Attempt
from sidecar.errors import Origin, SidecarError, UpstreamError, UpstreamRefusedError
from sidecar.singleflight import FlightAbandonedError


def tree(kind: type[SidecarError] = SidecarError) -> list[type[SidecarError]]:
    """An error and all that are kinds of it."""
    return [kind, *(error for child in kind.__subclasses__() for error in tree(child))]


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_error_has_its_place_in_http(kind):
    """A status that says failure, a one-word code, an origin."""
    assert 400 <= kind.status <= 599
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert isinstance(kind.origin, Origin)


@pytest.mark.parametrize("kind", tree(errors.InvalidRequestError), ids=lambda kind: kind.__name__)
def test_what_the_client_did_wrong_is_not_worth_a_retry(kind):
    """A 4xx of ours blames the client and is final."""
    assert (kind.origin, kind.retryable, kind.status // 100) == (Origin.CLIENT, False, 4)


def test_an_upstream_error_names_every_attempt():
    """The reply tells who was tried, not only that it failed."""
    error = UpstreamError("no", reason="status_503", upstream_status=503)
    error.attempts = (Attempt("a", "m", 503, "status_503", 1.0), Attempt("b", "n", None, "cut", 2))
    assert [attempt["provider"] for attempt in error.body_detail["attempts"]] == ["a", "b"]


def test_a_refusal_keeps_the_providers_own_words():
    """Status and body are passed on."""
    error = UpstreamRefusedError("no", reason="status_422", upstream_status=422, body=b"{}")
    assert (error.upstream_status, error.body, error.origin) == (422, b"{}", Origin.CLIENT)


def test_details_of_one_error_are_its_own():
    """What is added to one error's head doesn't show in another's."""
    headers = {"retry-after": "1"}
    one, other = SidecarError("a", headers=headers), SidecarError("b", headers=headers)
    one.headers["x"] = "y"
    assert other.headers == {"retry-after": "1"}


def test_a_flight_cut_by_the_end_of_the_process_asks_to_call_again():
    """It is told as draining, and not as a bug of ours."""
    error = FlightAbandonedError("x")
    assert (error.status, error.code, error.retryable) == (503, "draining", True)

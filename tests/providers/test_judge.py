"""What a reply other than 200 means: one word for the planner, and whose eyes may see it."""

import orjson
import pytest

from sidecar.domain import Dialect
from sidecar.errors import UpstreamError, UpstreamInvalidError, UpstreamRefusedError
from sidecar.providers.judge import Asked, judge_reply

from .asking import KEY

ANTHROPIC = Asked("claude", Dialect.ANTHROPIC, KEY)
OPENAI = Asked("gpt")


def openai(**error: object) -> bytes:
    """An error body in OpenAI's shape."""
    return orjson.dumps({"error": {"message": "no", **error}})


def anthropic(kind: str, message: str = "no") -> bytes:
    """An error body in Anthropic's shape."""
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})


@pytest.mark.parametrize(
    ("status", "body", "reason", "kind"),
    [
        (429, openai(code="rate_limit_exceeded"), "rate_limited", UpstreamRefusedError),
        (429, openai(code="insufficient_quota"), "insufficient_quota", UpstreamRefusedError),
        (429, openai(type="insufficient_quota"), "insufficient_quota", UpstreamRefusedError),
        (429, b"", "rate_limited", UpstreamRefusedError),
        (503, openai(), "overloaded", UpstreamError),
        (400, openai(code="context_length_exceeded"), "context_window", UpstreamRefusedError),
        (
            400,
            openai(message="This model's maximum context length is 8 tokens", code=400),
            "context_window",
            UpstreamRefusedError,
        ),
        (400, openai(code="content_filter"), "content_filter", UpstreamRefusedError),
        (400, openai(code="content_policy_violation"), "content_filter", UpstreamRefusedError),
        (
            400,
            openai(code=None, innererror={"code": "ResponsibleAIPolicyViolation"}),
            "content_filter",
            UpstreamRefusedError,
        ),
        (400, openai(code="invalid_value"), "status_400", UpstreamRefusedError),
        (404, openai(code="context_length_exceeded"), "status_404", UpstreamRefusedError),
        (402, openai(), "status_402", UpstreamError),
        (500, openai(code="content_filter"), "status_500", UpstreamError),
    ],
)
def test_openai_words(status, body, reason, kind):
    """Each of OpenAI's words becomes one of ours, and only the caller's faults are passed on."""
    error = judge_reply(OPENAI, status, {}, body)
    assert (error.reason, type(error), error.upstream_status) == (reason, kind, status)


@pytest.mark.parametrize(
    ("status", "body", "reason", "kind"),
    [
        (429, anthropic("rate_limit_error"), "rate_limited", UpstreamRefusedError),
        (529, anthropic("overloaded_error"), "overloaded", UpstreamError),
        (
            400,
            anthropic("invalid_request_error", "prompt is too long: 250000 tokens > 200000"),
            "context_window",
            UpstreamRefusedError,
        ),
        (
            400,
            anthropic("invalid_request_error", "Output blocked by content filtering policy"),
            "content_filter",
            UpstreamRefusedError,
        ),
        (402, anthropic("billing_error"), "insufficient_quota", UpstreamError),
        (
            400,
            anthropic("invalid_request_error", "Your credit balance is too low to access"),
            "insufficient_quota",
            UpstreamError,
        ),
        (413, anthropic("request_too_large"), "status_413", UpstreamRefusedError),
        (400, anthropic("invalid_request_error"), "status_400", UpstreamRefusedError),
        (500, anthropic("api_error"), "status_500", UpstreamError),
    ],
)
def test_anthropic_words(status, body, reason, kind):
    """The same of Anthropic's; what it says of our bill is not the caller's to read."""
    error = judge_reply(ANTHROPIC, status, {}, body)
    assert (error.reason, type(error), error.upstream_status) == (reason, kind, status)


def test_a_refusal_knows_its_shape():
    """Else it would be told to a client that can't read it."""
    error = judge_reply(ANTHROPIC, 400, {}, anthropic("invalid_request_error"))
    assert (error.dialect, error.body) == (
        Dialect.ANTHROPIC,
        anthropic("invalid_request_error"),
    )


def test_a_refusal_that_can_not_be_shown_is_ours_and_so_is_its_shape():
    """A body that quotes the key is replaced by an error in OpenAI's shape."""
    error = judge_reply(ANTHROPIC, 400, {}, anthropic("invalid_request_error", f"{KEY} is odd"))
    assert error.dialect is Dialect.OPENAI
    assert KEY.encode() not in error.body


@pytest.mark.parametrize("status", [401, 403])
def test_the_callers_own_key_is_the_callers_fault(status):
    """It hears so, with that status and without what the provider said of the key."""
    asked = Asked("claude", Dialect.ANTHROPIC, KEY, clients_key=True)
    error = judge_reply(asked, status, {}, anthropic("authentication_error", f"bad {KEY[:5]}"))
    assert isinstance(error, UpstreamRefusedError)
    assert (error.upstream_status, error.reason, error.dialect) == (status, "auth", Dialect.OPENAI)
    assert KEY[:5].encode() not in error.body


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, openai(code="insufficient_quota")),
        (402, anthropic("billing_error")),
        (400, anthropic("invalid_request_error", "Your credit balance is too low")),
    ],
)
def test_the_callers_own_bill_is_the_callers_to_read(status, body):
    """In the provider's words, under a word that keeps nobody else away."""
    error = judge_reply(Asked("claude", clients_key=True), status, {}, body)
    assert isinstance(error, UpstreamRefusedError)
    assert (error.reason, error.upstream_status, error.body) == ("client_quota", status, body)


def test_hints_when_to_come_back_are_kept():
    """Azure's own header too; no other header is."""
    headers = {"x-ms-retry-after-ms": "70", "x-should-retry": "true", "set-cookie": "a=b"}
    kept = judge_reply(OPENAI, 503, headers, None).headers
    assert kept == {"x-ms-retry-after-ms": "70", "x-should-retry": "true"}


@pytest.mark.parametrize("body", [None, b"", b"[]", b'{"error": 5}', b'{"error": {"code": [1]}}'])
def test_any_body_has_a_meaning(body):
    """An error page of whatever shape is no second error."""
    assert judge_reply(OPENAI, 400, {}, body).reason == "status_400"


@pytest.mark.parametrize("status", [101, 304])
def test_a_status_below_400_is_invalid(status):
    """A switch of protocols that nobody asked for, a reference to what was never had."""
    assert isinstance(judge_reply(OPENAI, status, {}, b""), UpstreamInvalidError)

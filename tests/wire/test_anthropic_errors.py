"""Errors in Anthropic's shape, and refusals carried from one shape into the other."""

import orjson
import pytest

from sidecar.domain import Attempt, Dialect, Endpoint
from sidecar.errors import (
    AllTargetsFailedError,
    CacheMissError,
    ForbiddenError,
    InvalidApiKeyError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    RateLimitedError,
    RequestTooLargeError,
    SidecarError,
    UpstreamInvalidError,
    UpstreamRefusedError,
)
from sidecar.web.errors import error_response
from sidecar.wire.anthropic_errors import build_error, refusal_body
from sidecar.wire.anthropic_format import AnthropicFormat

ANTHROPICS = orjson.dumps(
    {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}}
)
OPENAIS = orjson.dumps(
    {
        "error": {
            "message": "too long",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    }
)


def refused(body: bytes, dialect: Dialect, status: int = 400, reason: str = "context_window"):
    """A provider's refusal in its shape."""
    return UpstreamRefusedError(
        "no", reason=reason, upstream_status=status, body=body, dialect=dialect
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequestError("no"), "invalid_request_error"),
        (InvalidApiKeyError("no"), "authentication_error"),
        (ForbiddenError("no"), "permission_error"),
        (ModelNotFoundError("no"), "not_found_error"),
        (RequestTooLargeError("no"), "request_too_large"),
        (RateLimitedError("no"), "rate_limit_error"),
        (OverloadedError("no"), "overloaded_error"),
        (CacheMissError("no"), "timeout_error"),
        (UpstreamInvalidError("no", reason="x"), "api_error"),
        (SidecarError("no"), "api_error"),
    ],
)
def test_each_status_has_anthropics_word(error, kind):
    """And our own code beside it."""
    told = orjson.loads(build_error(error))
    assert told["type"] == "error"
    assert (told["error"]["type"], told["error"]["message"]) == (kind, "no")
    assert told["error"]["code"] == error.code


def test_all_attempts_are_named():
    """As in OpenAI's shape; details can't displace what is known."""
    error = AllTargetsFailedError("no")
    error.attempts = (Attempt("a", "m", 503, "overloaded", 1.5),)
    assert orjson.loads(build_error(error))["error"]["attempts"][0]["provider"] == "a"
    forged = InvalidRequestError("no", detail={"type": "x", "message": "y", "budget": "b"})
    told = orjson.loads(build_error(forged))["error"]
    assert (told["type"], told["message"], told["budget"]) == ("invalid_request_error", "no", "b")


@pytest.mark.parametrize(
    ("body", "dialect", "endpoint"),
    [
        (ANTHROPICS, Dialect.ANTHROPIC, Endpoint.MESSAGES),
        (OPENAIS, Dialect.OPENAI, Endpoint.CHAT),
        (OPENAIS, Dialect.OPENAI, Endpoint.RESPONSES),
        (OPENAIS, Dialect.OPENAI, Endpoint.EMBEDDINGS),
    ],
)
def test_a_refusal_in_the_clients_shape_is_passed_on_byte_by_byte(body, dialect, endpoint):
    """Nothing is better than the provider's own words."""
    assert refusal_body(refused(body, dialect), endpoint) == body


def test_anthropics_refusal_for_a_client_of_openais():
    """Message and kind stay; the code is the one that OpenAI's clients decide by."""
    told = orjson.loads(refusal_body(refused(ANTHROPICS, Dialect.ANTHROPIC), Endpoint.CHAT))
    assert told == {
        "error": {
            "message": "prompt is too long",
            "type": "invalid_request_error",
            "param": None,
            "code": "context_length_exceeded",
        }
    }


def test_openais_refusal_for_a_client_of_anthropics():
    """Message, code and param stay; the kind is that of the status."""
    told = orjson.loads(refusal_body(refused(OPENAIS, Dialect.OPENAI, 429), Endpoint.MESSAGES))
    assert told == {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "too long",
            "code": "context_length_exceeded",
            "param": "messages",
        },
    }


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"error": "no"}', b'{"error": {}}'])
def test_a_refusal_without_words_gets_ours(body):
    """In the client's shape, with the provider's status."""
    error = refused(body, Dialect.OPENAI, 404)
    response = error_response(error, AnthropicFormat())
    assert response.status == 404
    told = orjson.loads(response.body)
    assert (told["type"], told["error"]["message"]) == ("error", "no")

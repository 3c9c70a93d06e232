"""Errors in Anthropic's shape, and a provider's refusal in the shape that its reader knows.

A refusal keeps its status, its message and the kind of error that it is; only the
envelope changes, and only where the client speaks another dialect than the provider.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain import Dialect, Endpoint, Json
from sidecar.errors import SidecarError, UpstreamRefusedError
from sidecar.wire.body import MalformedError, dump, load_object

_BY_STATUS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OPENAI_KINDS: Final = {
    "authentication_error": "authentication_error",
    "permission_error": "permission_error",
    "rate_limit_error": "rate_limit_error",
}
_OVERLOADED: Final = "overloaded"


def kind_of(status: int, code: str = "") -> str:
    """Anthropic's word for an error."""
    if code == _OVERLOADED:
        return "overloaded_error"
    return _BY_STATUS.get(status, "invalid_request_error" if status < 500 else "api_error")


def build_error(error: SidecarError) -> bytes:
    """The body of an error. Details can't displace the known fields."""
    known = {
        "type": kind_of(error.status, error.code),
        "message": error.message,
        "code": error.code,
        "param": error.param,
    }
    return _envelope({**error.body_detail, **known})


def refusal_body(error: UpstreamRefusedError, endpoint: Endpoint) -> bytes:
    """A provider's refusal for the clients of `endpoint`; empty where it said nothing readable."""
    wanted = Dialect.ANTHROPIC if endpoint is Endpoint.MESSAGES else Dialect.OPENAI
    given = Dialect.ANTHROPIC if error.dialect is Dialect.ANTHROPIC else Dialect.OPENAI
    if wanted is given or not error.body:
        return error.body
    try:
        said = load_object(error.body).get("error")
    except MalformedError:
        return b""
    if type(said) is not dict or type(said.get("message")) is not str:
        return b""
    status = error.upstream_status or error.status
    return _for_anthropic(said, status) if wanted is Dialect.ANTHROPIC else _for_openai(said, error)


def _for_anthropic(said: dict[str, Json], status: int) -> bytes:
    known = {name: said[name] for name in ("code", "param") if said.get(name) is not None}
    return _envelope({**known, "type": kind_of(status), "message": said["message"]})


def _for_openai(said: dict[str, Json], error: UpstreamRefusedError) -> bytes:
    kind = said.get("type")
    known = {
        "message": said["message"],
        "type": _OPENAI_KINDS.get(kind if type(kind) is str else "", "invalid_request_error"),
        "param": None,
        "code": _CODES.get(error.reason, kind),
    }
    return dump({"error": known})


_CODES: Final = {
    "context_window": "context_length_exceeded",
    "content_filter": "content_filter",
    "rate_limited": "rate_limit_exceeded",
    "insufficient_quota": "insufficient_quota",
}
"""OpenAI's codes, which its clients decide by, for what a refusal was found to mean."""


def _envelope(error: dict[str, Json]) -> bytes:
    return dump({"type": "error", "error": error})

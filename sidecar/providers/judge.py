"""What a reply other than 200 means, whoever's words it is told in.

Each becomes one error with one word as its reason, by which retries and fallbacks are
planned: `rate_limited`, `insufficient_quota`, `overloaded`, `context_window`,
`content_filter`, `auth`, else `status_` and the number. A quota that is the caller's own
is `client_quota`: it says nothing of what the provider would answer to others.

Only what the caller did wrong is shown to the caller: a provider's complaint about our
key quotes parts of it, its complaint about our bill is the operator's to hear, and its
5xx pages are no business of the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from sidecar.domain import Dialect, Json
from sidecar.errors import UpstreamError, UpstreamInvalidError, UpstreamRefusedError
from sidecar.wire.body import MalformedError, dump, load_object

CALLERS_FAULT: Final = frozenset({400, 404, 409, 413, 415, 422, 429})
"""Statuses that are passed on to the caller with their body."""

KEPT_HEADERS: Final = ("retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-should-retry")
"""What of a refusal's head is kept: our retries obey it, and the SDKs' own."""

MOST_ERROR_BYTES: Final = 64 * 1024
"""Of an error's body; a longer one is not read."""

_KEY_STATUSES: Final = (401, 403)
_OVERLOADED: Final = (503, 529)
_WINDOW_CODES: Final = ("context_length_exceeded", "context_window_exceeded")
_FILTER_CODES: Final = (
    "content_filter",
    "content_policy_violation",
    "ResponsibleAIPolicyViolation",
)
_WINDOW_PHRASES: Final = ("prompt is too long", "maximum context length", "exceed context limit")
_FILTER_PHRASES: Final = ("content filtering policy",)
_BILLING_PHRASES: Final = ("credit balance is too low",)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked, in whose words, and with which key: that never shows.

    `clients_key` says that the key was the caller's own, so that its fault is the caller's.
    """

    name: str
    dialect: Dialect = Dialect.OPENAI
    secret: str = ""
    clients_key: bool = False


def judge_reply(
    asked: Asked, status: int, headers: Mapping[str, str], body: bytes | None
) -> UpstreamError:
    """Say what a reply other than 200 means; `body` None where it was too long to read."""
    kept = {key: headers[key] for key in KEPT_HEADERS if key in headers}
    if status in _KEY_STATUSES:
        return _refused_key(asked, status)
    said = _said(body)
    reason = _whose(asked, _reason(status, said))
    message = f"{asked.name} answered with status {status}"
    if _is_callers_fault(status, reason):
        shown, dialect = body, asked.dialect
        if not is_showable(body, asked.secret):
            shown, dialect = plain_error(message, reason), Dialect.OPENAI
        return UpstreamRefusedError(
            message,
            reason=reason,
            upstream_status=status,
            body=shown or b"",
            headers=kept,
            dialect=dialect,
        )
    if status < 400:
        return UpstreamInvalidError(message, reason=reason, upstream_status=status)
    return UpstreamError(message, reason=reason, upstream_status=status, headers=kept)


def is_showable(body: bytes | None, secret: str = "") -> TypeGuard[bytes]:
    """Whether this error body may go to the caller: a JSON object without the key in it."""
    if body is None or (secret and secret.encode() in body):
        return False
    try:
        load_object(body)
    except MalformedError:
        return False
    return True


def plain_error(message: str, code: str) -> bytes:
    """An error of ours in OpenAI's shape, where the provider's can't be shown."""
    error = {"message": message, "type": "upstream_error", "param": None, "code": code}
    return dump({"error": error})


def _refused_key(asked: Asked, status: int) -> UpstreamError:
    if not asked.clients_key:
        message = f"{asked.name} does not accept the configured api_key (status {status})"
        return UpstreamError(message, reason="auth", upstream_status=status)
    message = f"{asked.name} does not accept the API key that came with this call"
    body = plain_error(message, "invalid_api_key")
    return UpstreamRefusedError(message, reason="auth", upstream_status=status, body=body)


def _said(body: bytes | None) -> Mapping[str, Json]:
    """The error object of a body, or nothing."""
    try:
        said = load_object(body or b"").get("error")
    except MalformedError:
        return {}
    return said if type(said) is dict else {}


def _reason(status: int, said: Mapping[str, Json]) -> str:
    codes = {word for name in ("code", "type") if type(word := said.get(name)) is str}
    inner = said.get("innererror")
    if type(inner) is dict and type(inner.get("code")) is str:
        codes.add(inner["code"])
    text = message.lower() if type(message := said.get("message")) is str else ""
    if status in _OVERLOADED:
        return "overloaded"
    if "insufficient_quota" in codes or "billing_error" in codes or _has(text, _BILLING_PHRASES):
        return "insufficient_quota"
    if status == 429:
        return "rate_limited"
    if status in (400, 413) and (codes.intersection(_WINDOW_CODES) or _has(text, _WINDOW_PHRASES)):
        return "context_window"
    if status == 400 and (codes.intersection(_FILTER_CODES) or _has(text, _FILTER_PHRASES)):
        return "content_filter"
    return f"status_{status}"


def _whose(asked: Asked, reason: str) -> str:
    """The same word, but where the quota is the caller's own."""
    return "client_quota" if asked.clients_key and reason == "insufficient_quota" else reason


def _is_callers_fault(status: int, reason: str) -> bool:
    """A 429 for want of our quota has always been told to callers, whose SDKs know the code."""
    if reason == "insufficient_quota":
        return status == 429
    return status in CALLERS_FAULT or reason == "client_quota"


def _has(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)

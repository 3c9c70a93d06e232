"""Every error of a plane as JSON in the contract's shape, aiohttp's own included."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

from sidecar.errors import (
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    RequestTooLargeError,
    SidecarError,
    UpstreamError,
    UpstreamRefusedError,
)
from sidecar.wire.anthropic_errors import refusal_body
from sidecar.wire.format import Format
from sidecar.wire.openai_format import OpenAIFormat

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BY_STATUS: dict[int, type[SidecarError]] = {
    404: NotFoundError,
    405: MethodNotAllowedError,
    413: RequestTooLargeError,
}
_log = logging.getLogger(__name__)


OPENAI = OpenAIFormat()
NEVER_ASKED = ("breaker_open", "untranslatable")
"""Reasons of attempts that no provider has heard of."""


def error_response(
    error: SidecarError, format_: Format = OPENAI, headers: dict[str, str] | None = None
) -> web.Response:
    """The reply that tells an error; a provider's refusal keeps its own status and words."""
    status, body, head = error.status, b"", {**(headers or {}), **error.headers}
    if isinstance(error, UpstreamError):
        head["x-sidecar-attempts"] = str(len(error.attempts))
    if isinstance(error, UpstreamRefusedError):
        status = error.upstream_status or status
        body = refusal_body(error, format_.endpoint)
    return web.Response(
        status=status,
        body=body or format_.error(error),
        headers={**head, **advice(error, status)},
        content_type="application/json",
    )


def advice(error: SidecarError, status: int) -> Mapping[str, str]:
    """Keeps SDKs, which ask again by themselves, from multiplying what was asked here.

    How often a provider is asked is for the route's policy to say; and what was sent and got
    no answer may have been paid for. A rate limit says when to come again: that holds for
    the caller too, unless it was obeyed here already.
    """
    if not isinstance(error, UpstreamError):
        return {}
    asked = [(a.provider, a.model) for a in error.attempts if a.reason not in NEVER_ASKED]
    if error.attempts and not asked:
        return {}
    is_repeated = len(asked) > len(set(asked))
    return {"x-should-retry": "false"} if status >= 500 or (status == 429 and is_repeated) else {}


def translated(error: web.HTTPException) -> SidecarError:
    """An error of aiohttp's own in the terms of this process."""
    kind = _BY_STATUS.get(error.status, InvalidRequestError)
    allow = {"Allow": methods} if (methods := error.headers.get("Allow")) else None
    return kind(f"{error.reason}: see README for what is served here", headers=allow)


async def answer_errors(
    request: web.Request, handler: Handler, format_: Format = OPENAI
) -> web.StreamResponse:
    """Run a handler; whatever it raises becomes a reply, and a bug is logged and answered 500."""
    try:
        return await handler(request)
    except SidecarError as error:
        return error_response(error, format_)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return error_response(translated(error), format_)
    except Exception:  # a bug here must cost one reply, not a connection without a word
        _log.exception("unexpected error in %s %s", request.method, request.path)
        unexpected = SidecarError("an internal error; the log has the details")
        return error_response(unexpected, format_)

"""The one error tree: each error says whose fault it is and whether to try again.

`origin` tells the operator where to look; `status` and `code` tell the client. Foreign
exceptions are translated into this tree once, at the border where they arise.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from sidecar.domain import Attempt, Dialect


class Origin(StrEnum):
    """Whose fault an error is."""

    CLIENT = "client"
    SIDECAR = "sidecar"
    PROVIDER = "provider"
    OPERATOR = "operator"


class SidecarError(Exception):
    """An error with a place in the HTTP contract.

    `message` is one line that says what to do. `detail` (by `body_detail`) is merged into the error
    object of the reply, `headers` into its head.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    kind: ClassVar[str] = "server_error"
    origin: ClassVar[Origin] = Origin.SIDECAR
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        detail: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.attempts: tuple[Attempt, ...] = ()
        self.detail = dict(detail or {})
        self.headers = dict(headers or {})

    @property
    def body_detail(self) -> Mapping[str, Any]:
        """What the error object of a reply tells beside the message."""
        return self.detail


class ConfigError(SidecarError):
    """A config, address or state directory that the process can't start with."""

    code = "bad_config"
    origin = Origin.OPERATOR


class InvalidRequestError(SidecarError):
    """The request can't be understood."""

    status = 400
    code = "invalid_request"
    kind = "invalid_request_error"
    origin = Origin.CLIENT


class MissingTagError(InvalidRequestError):
    """A usage tag that config requires is absent."""

    code = "missing_tag"


class InvalidApiKeyError(InvalidRequestError):
    """The caller's key is not one that config knows."""

    status = 401
    code = "invalid_api_key"
    kind = "authentication_error"


class ForbiddenError(InvalidRequestError):
    """The Host or Origin header is not allowed here."""

    status = 403
    code = "forbidden"
    kind = "permission_error"


class NotFoundError(InvalidRequestError):
    """There is nothing at this path."""

    status = 404
    code = "not_found"


class ModelNotFoundError(InvalidRequestError):
    """No such model is configured."""

    status = 404
    code = "model_not_found"


class MethodNotAllowedError(InvalidRequestError):
    """The path exists, with other methods."""

    status = 405
    code = "method_not_allowed"


class RequestTooLargeError(InvalidRequestError):
    """The body is over `listen.max_body_mb`."""

    status = 413
    code = "request_too_large"


class UnsupportedMediaTypeError(InvalidRequestError):
    """The body is not plain JSON."""

    status = 415
    code = "unsupported_media_type"


class CacheMissError(SidecarError):
    """`only-if-cached` was asked for and nothing is cached. To repeat it at once is in vain."""

    status = 504
    code = "cache_miss"
    kind = "cache_error"
    origin = Origin.CLIENT

    def __init__(self, message: str) -> None:
        # The vendors' SDKs repeat a 504 unless they are told not to.
        super().__init__(message, headers={"x-should-retry": "false"})


class OverloadedError(SidecarError):
    """There is more to do than may be done at once: come again in a moment."""

    status = 503
    code = "overloaded"
    retryable = True


class DrainingError(SidecarError):
    """The process is about to end and takes no new calls."""

    status = 503
    code = "draining"
    retryable = True


class UpstreamError(SidecarError):
    """A provider failed. `reason` is one word for the trail.

    `never_sent` says that no byte of the request reached the provider. `has_all_come` is False
    where something that it has sent may never have been read.
    """

    status = 503
    code = "all_targets_failed"
    kind = "upstream_error"
    origin = Origin.PROVIDER
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        upstream_status: int | None = None,
        headers: Mapping[str, str] | None = None,
        never_sent: bool = False,
    ) -> None:
        super().__init__(message, headers=headers)
        self.reason = reason
        self.upstream_status = upstream_status
        self.never_sent = never_sent
        self.has_all_come = True

    @property
    def body_detail(self) -> Mapping[str, Any]:
        """The attempts that led here, by name."""
        return {"attempts": [_told(attempt) for attempt in self.attempts]}


def _told(attempt: Attempt) -> dict[str, Any]:
    """An attempt as its caller hears of it; what it cost is for the row."""
    return {
        name: getattr(attempt, name) for name in ("provider", "model", "status", "reason", "ms")
    }


class AllTargetsFailedError(UpstreamError):
    """Nobody on a route has answered; the attempts say who was asked."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="all_targets_failed")


class TargetsBusyError(UpstreamError):
    """Every target of a route asks to come later."""

    status = 429
    code = "rate_limited"
    kind = "rate_limit_error"


class UpstreamTimeoutError(UpstreamError):
    """A provider took longer than config allows."""

    status = 504
    code = "upstream_timeout"


class UpstreamInvalidError(UpstreamError):
    """A provider sent what is not an answer."""

    status = 502
    code = "upstream_invalid"
    retryable = False


class UpstreamRefusedError(UpstreamError):
    """A provider's 4xx that is the caller's fault: passed on with its own status and body.

    `dialect` says in whose shape the body is, for a client may speak another one.
    """

    kind = "invalid_request_error"
    origin = Origin.CLIENT
    retryable = False

    def __init__(  # noqa: PLR0913 - what a refusal is told by, each by name
        self,
        message: str,
        *,
        reason: str,
        upstream_status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        dialect: Dialect = Dialect.OPENAI,
    ) -> None:
        super().__init__(message, reason=reason, upstream_status=upstream_status, headers=headers)
        self.body = body
        self.dialect = dialect


class RateLimitedError(SidecarError):
    """More was asked in a minute than config allows; `retry-after` says when there is room."""

    status = 429
    code = "rate_limited"
    kind = "rate_limit_error"
    origin = Origin.CLIENT
    retryable = True


class IdempotencyMismatchError(InvalidRequestError):
    """An `Idempotency-Key` came again with another body."""

    status = 422
    code = "idempotency_mismatch"


class IdempotencyUnavailableError(SidecarError):
    """It can't be looked up whether an `Idempotency-Key` was answered before."""

    status = 503
    code = "idempotency_unavailable"
    retryable = True

"""What follows from a failed attempt: the same target again, another, or an end.

Pure: the time, the draw and what was tried are arguments. It refuses to wait and to ask.
The invariant: a request that may have been worked on is not sent to the same target again
unless the policy allows it, for nobody can tell whether it would be paid twice.
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_tz
from enum import Enum
from math import inf, isfinite
from typing import NamedTuple, TypeAlias, assert_never

from sidecar.errors import UpstreamError, UpstreamRefusedError
from sidecar.route.policy import FallbackOn, RetryPolicy

_TOO_MANY = 429
_REQUEST_TIMEOUT = 408
_MOST_DOUBLINGS = 60
_LONGEST_S = 86_400.0
_QUOTAS = ("insufficient_quota", "client_quota")


class Fault(Enum):
    """What a failure says of the target and of the request."""

    UNSENT = "unsent"
    """No byte of the request arrived: asking again is safe."""
    BUSY = "busy"
    """The target said that it can't answer just now."""
    SILENT = "silent"
    """The request was sent and no whole answer came: it may have been worked on."""
    USELESS = "useless"
    """The target would fail again at once; another may answer."""
    TOO_LONG = "too_long"
    """The request is over this model's context window."""
    FILTERED = "filtered"
    """A content filter refused the request."""
    CALLER = "caller"
    """The request itself is wrong."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Ask the same target again after `wait_s` seconds."""

    wait_s: float


class Move(Enum):
    """Leave this target."""

    NEXT_TARGET = "next_target"
    FALLBACK = "fallback"
    """Past the route's other targets: they would say the same."""
    GIVE_UP = "give_up"


Step: TypeAlias = Repeat | Move


class Occasion(NamedTuple):
    """When it is decided: after the `tried`-th failure at one target, with `left_s` seconds of
    the caller's patience remaining, at `now` (Unix seconds), by a `draw` in [0, 1).
    """

    tried: int
    left_s: float
    now: float
    draw: float


_FAULTS: Mapping[str, Fault] = {
    "rate_limited": Fault.BUSY,
    "overloaded": Fault.BUSY,
    "insufficient_quota": Fault.USELESS,
    "client_quota": Fault.USELESS,
    "auth": Fault.USELESS,
    "context_window": Fault.TOO_LONG,
    "content_filter": Fault.FILTERED,
    "disconnect": Fault.SILENT,
    "reset": Fault.SILENT,
    "cut": Fault.SILENT,
    "timeout_first_token": Fault.SILENT,
    "timeout_between_tokens": Fault.SILENT,
    "timeout_total": Fault.SILENT,
}


def fault_of(error: UpstreamError) -> Fault:
    """What a failure means: by its word, else by its status, else by its class."""
    if error.never_sent:
        return Fault.UNSENT
    if error.reason == "auth" and isinstance(error, UpstreamRefusedError):
        # The key is the caller's own. Others, asked with ours, would let anybody in.
        return Fault.CALLER
    if (fault := _FAULTS.get(error.reason)) is not None:
        return fault
    status = error.upstream_status or 0
    if status in (_REQUEST_TIMEOUT, _TOO_MANY) or status >= 500:
        return Fault.BUSY
    return Fault.CALLER if isinstance(error, UpstreamRefusedError) else Fault.USELESS


def is_rate_limited(error: UpstreamError) -> bool:
    """Whether the target is well and only asks for a pause."""
    too_many = error.upstream_status == _TOO_MANY and error.reason not in _QUOTAS
    return too_many or error.reason == "rate_limited"


def next_step(
    error: UpstreamError,
    policy: RetryPolicy,
    fallback_on: frozenset[FallbackOn],
    occasion: Occasion,
) -> Step:
    """What to do after a failure."""
    fault = fault_of(error)
    match fault:
        case Fault.CALLER:
            return Move.GIVE_UP
        case Fault.TOO_LONG:
            return _elsewhere(FallbackOn.CONTEXT_WINDOW, fallback_on)
        case Fault.FILTERED:
            return _elsewhere(FallbackOn.CONTENT_FILTER, fallback_on)
        case Fault.USELESS:
            return Move.NEXT_TARGET
        case Fault.UNSENT | Fault.BUSY | Fault.SILENT:
            if fault is Fault.SILENT and not policy.ambiguous:
                return Move.NEXT_TARGET
            return _again(error, policy, occasion)
        case _:
            assert_never(fault)


def _elsewhere(why: FallbackOn, fallback_on: frozenset[FallbackOn]) -> Move:
    return Move.FALLBACK if why in fallback_on else Move.GIVE_UP


def _again(error: UpstreamError, policy: RetryPolicy, occasion: Occasion) -> Step:
    tried, left_s, now, draw = occasion
    if tried >= policy.attempts or _forbids_retry(error.headers):
        return Move.NEXT_TARGET
    told_s = retry_after_s(error.headers, now)
    if told_s is not None and told_s > policy.max_s:
        return Move.NEXT_TARGET
    wait_s = max(told_s or 0.0, backoff_s(policy, tried, draw))
    return Repeat(wait_s) if wait_s < left_s else Move.NEXT_TARGET


def backoff_s(policy: RetryPolicy, tried: int, draw: float) -> float:
    """Truncated exponential back-off with full jitter.

    Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): a uniform draw
    from zero to the bound spreads callers better than a bound with a little noise.
    """
    bound = policy.base_s * 2.0 ** min(max(tried, 1) - 1, _MOST_DOUBLINGS)
    return draw * min(policy.max_s, bound)


def _forbids_retry(headers: Mapping[str, str]) -> bool:
    return _named(headers).get("x-should-retry", "").strip().lower() == "false"


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """How long a provider asks to wait, in seconds; None where it tells nothing that makes sense.

    Milliseconds come first since they are the finer figure of the same wait. Azure sends
    -1 for "don't know", which tells nothing. More than a day is told as a day.
    """
    told_s = _told_s(headers, now)
    return None if told_s is None else min(told_s, _LONGEST_S)


def _told_s(headers: Mapping[str, str], now: float) -> float | None:
    named = _named(headers)
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (told_ms := _number(named.get(name))) is not None:
            return told_ms / 1e3
    line = named.get("retry-after")
    told_s = _number(line)
    return told_s if told_s is not None else _until_date(line, now)


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _number(line: str | None) -> float | None:
    """A finite number from 0 on."""
    try:
        number = float(line or "")
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None


def _until_date(line: str | None, now: float) -> float | None:
    """Seconds until an HTTP date, 0 where it is past."""
    parts = parsedate_tz(line or "")
    if parts is None:
        return None
    try:
        due = timegm((*parts[:6], 0, 0, 0)) - (parts[9] or 0)
    except (ValueError, OverflowError):
        return None
    return max(0.0, due - now)


class RetryBudget:
    """Bounds the retries at one target, so that an outage is not multiplied by them.

    A bucket of retries: each call puts a fifth of one in, each second `FLOOR_PER_S`, each
    retry takes one out. It is full at first. After Finagle's RetryBudget.
    """

    SHARE = 0.2
    FLOOR_PER_S = 0.5
    MOST = 10.0

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = self.MOST
        self._at = -inf

    def called(self) -> None:
        """A call has come to this target."""
        self._left = min(self.MOST, self._left + self.SHARE)

    def take(self, now: float) -> bool:
        """Whether one more retry is allowed at `now` (monotonic seconds); it is counted then."""
        passed = max(0.0, now - self._at)
        self._left = min(self.MOST, self._left + passed * self.FLOOR_PER_S)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

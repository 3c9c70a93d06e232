"""Counts each call against the rate limits, before it costs anything.

Every call counts as a request, one that is served from the cache too: what it protects is
this process and whoever shares it. Tokens are counted where a provider was asked, and by
its own numbers; a hit and a follower of another call's flight cost none. A call that
failed is charged what its provider told, and one whose client left keeps its estimate,
since its answer may have been made all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from sidecar.clock import Clock
from sidecar.domain import Attachment, Call, ChatRequest, Json, Outcome, Usage
from sidecar.errors import RateLimitedError
from sidecar.route.limits import Exceeded, RateCounts
from sidecar.route.limits import RateLimit as RateLimit  # noqa: PLC0414  given on with the rest
from sidecar.route.limits import Taken as Taken  # noqa: PLC0414  given on with the rest

BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 2000
"""About the most that vendors count for an image, however many bytes it is sent in."""
_SMALL_BODY = 16_384
"""A body up to this is not searched for images: their bytes would hardly matter."""
CLIENT_LEFT = 499
"""The status in the row of a request whose client did not wait for the answer."""
_FREE = (Outcome.EXACT, Outcome.SEMANTIC, Outcome.STALE, Outcome.COALESCED)


class Admission:
    """The counts of one process. Use on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts = RateCounts()

    def admit(self, call: Call, body_bytes: int, limits: Sequence[RateLimit]) -> Taken | None:
        """What the call takes; `RateLimitedError` where a limit has no room for it."""
        if not limits:
            return None
        caller = call.caller
        labels = {
            "tenant": caller.tenant,
            "user": caller.user,
            "feature": caller.feature,
            "department": caller.department,
            "model": call.request.model,
        }
        tokens = estimate_tokens(body_bytes, call.request)
        taken = self._counts.take(limits, labels, tokens, self._clock.tick())
        if isinstance(taken, Exceeded):
            raise refusal(taken)
        return taken


def settle(taken: Taken | None, outcome: Outcome, usage: Usage | None, status: int) -> None:
    """Count what a call really used, once that is known."""
    if taken is None:
        return
    if outcome in _FREE:
        taken.settle(0)
    elif usage is not None:
        taken.settle(max(0, usage.input_tokens + usage.output_tokens))
    elif status >= 400 and status != CLIENT_LEFT:
        taken.settle(0)


def estimate_tokens(body_bytes: int, request: ChatRequest) -> int:
    """What a call may need: its body at four bytes a token, and the most that it may be told.

    An image counts as one, not by its bytes: else a photograph alone would be over a limit.
    """
    said = request.parameters.get
    cap = said("max_completion_tokens") or said("max_tokens") or 0
    images, image_bytes = _images(request) if body_bytes > _SMALL_BODY else (0, 0)
    text_bytes = max(0, body_bytes - image_bytes)
    asked = -(-text_bytes // BYTES_PER_TOKEN) + images * IMAGE_TOKENS
    return asked + cap * (said("n") or 1)


def _images(request: ChatRequest) -> tuple[int, int]:
    """How many images are in the messages, and the bytes of those that are sent along."""
    found = [
        part.raw
        for message in request.messages
        for part in message.content
        if isinstance(part, Attachment) and "image" in part.kind
    ]
    return len(found), sum(map(_longest, found))


def _longest(value: Json) -> int:
    """The length of the longest text in it: of an image, its data."""
    if isinstance(value, str):
        return len(value)
    inner = value.values() if isinstance(value, Mapping) else value
    return max(map(_longest, inner), default=0) if isinstance(inner, Iterable) else 0


def refusal(exceeded: Exceeded) -> RateLimitedError:
    """The refusal, naming the limit and whom it counts, and when there is room."""
    names = zip(exceeded.limit.match, exceeded.values, strict=True)
    counted = ", ".join(f"{name} {value or '(none)'}" for (name, _), value in names)
    limit = f"{exceeded.allowed} {exceeded.measure} per minute for {counted or 'all calls'}"
    if exceeded.wait_s is None:
        return RateLimitedError(
            f"this request alone may need more than the rate limit of {limit};"
            " send less, or ask for a shorter answer",
            headers={"retry-after": "60", "x-should-retry": "false"},
        )
    wait_s = max(1, ceil(exceeded.wait_s))
    return RateLimitedError(
        f"the rate limit of {limit} is reached; call again in {wait_s} s",
        headers={"retry-after": str(wait_s)},
    )

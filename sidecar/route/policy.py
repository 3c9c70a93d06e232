"""How patient a route is: plain settings of retries, fallbacks and breakers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FallbackOn(StrEnum):
    """What a route's fallbacks are asked after."""

    FAILURE = "failure"
    CONTEXT_WINDOW = "context_window"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often one target is asked, and the bounds of the waits before it is asked again.

    `ambiguous` allows to repeat a request that was sent and got no answer: it may have been
    worked on, and paid for.
    """

    attempts: int = 3
    base_s: float = 0.2
    max_s: float = 5.0
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """`failures` within `window_s` open a breaker, which lets a probe through after `open_s`."""

    failures: int = 5
    window_s: float = 30.0
    open_s: float = 15.0

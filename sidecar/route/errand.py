"""One call on its way to an answer: who is still to be asked, and what was heard so far.

Pure bookkeeping; `walk` acts on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, inf
from typing import NamedTuple

from sidecar.domain import Attempt, Call
from sidecar.errors import (
    AllTargetsFailedError,
    InvalidApiKeyError,
    InvalidRequestError,
    SidecarError,
    TargetsBusyError,
    UpstreamError,
    UpstreamRefusedError,
)
from sidecar.money_errors import BudgetError
from sidecar.route.policy import FallbackOn
from sidecar.route.retry import (
    Fault,
    Move,
    Occasion,
    Step,
    fault_of,
    is_rate_limited,
    next_step,
    retry_after_s,
)
from sidecar.route.table import Route, Target

BREAKER_OPEN = "breaker_open"
"""The reason of an attempt that was not made."""


class Candidate(NamedTuple):
    """Who may be asked."""

    target: Target
    is_fallback: bool = False


@dataclass(slots=True)
class Errand:
    """`attempts` is the caller's own list: what is tried is told there at once.

    `refusal` is what the caller is told where nobody else can answer either.
    """

    call: Call
    route: Route
    attempts: list[Attempt]
    failures: list[tuple[Candidate, SidecarError]] = field(default_factory=list)
    skipped: list[Candidate] = field(default_factory=list)
    refusal: SidecarError | None = None

    def candidates(self, draw: float) -> Iterator[Candidate]:
        """Who is to be asked next, each once; read on only where nobody has answered yet."""
        asked = set()
        for target in self.route.order(draw):
            if self.refusal is not None:
                break
            asked.add((target.provider, target.model))
            yield Candidate(target)
        if self.refusal is None and FallbackOn.FAILURE not in self.route.fallback_on:
            return
        for target in self.route.fallbacks:
            if (place := (target.provider, target.model)) not in asked:
                asked.add(place)
                yield Candidate(target, is_fallback=True)

    def occasion(self, tried: int, now: float, draw: float) -> Occasion:
        """The `tried`-th failure at one target, at `now` (Unix seconds)."""
        limit = self.call.timeout_s
        left_s = inf if limit is None else limit - (now - self.call.received_at)
        return Occasion(tried, left_s, now, draw)

    def skip(self, candidate: Candidate) -> None:
        """Its breaker is open."""
        target = candidate.target
        self.skipped.append(candidate)
        self.attempts.append(Attempt(target.provider, target.model, None, BREAKER_OPEN, 0.0))

    def ask_skipped(self) -> Candidate:
        """The first that was passed over, which is asked even so; it isn't told as skipped."""
        self.attempts.remove(next(a for a in self.attempts if a.reason == BREAKER_OPEN))
        return self.skipped.pop(0)

    def failed(self, candidate: Candidate, error: SidecarError, occasion: Occasion) -> Step:
        """An attempt has failed; what is to be done."""
        self.failures.append((candidate, error))
        if isinstance(error, InvalidApiKeyError) and not candidate.is_fallback:
            return Move.GIVE_UP  # others, asked with our key, would let anybody in
        if isinstance(error, BudgetError):
            # Nobody was asked in vain so far: the budget is the reason, and it is told. Where
            # others have failed, a stand-in that costs less may still be within the budget.
            is_first = len(self.failures) == 1 and not self.skipped
            return Move.GIVE_UP if is_first else Move.NEXT_TARGET
        if not isinstance(error, UpstreamError):
            return Move.NEXT_TARGET  # it can't say the request in its words; another may
        step = next_step(error, self.route.retry, self.route.fallback_on, occasion)
        if candidate.is_fallback and step in (Move.FALLBACK, Move.GIVE_UP):
            # What a stand-in of another kind refuses, the next may take; and it is not for
            # the stand-in to tell the caller what those who were meant to answer did not.
            return Move.NEXT_TARGET
        if step is Move.FALLBACK:
            self.refusal = error
        return step

    def verdict(self, now: float) -> SidecarError:
        """What the caller is told when nobody has answered, at `now` (Unix seconds)."""
        if self.refusal is not None:
            return self.refusal
        errors = [error for _, error in self.failures]
        if (
            errors
            and not self.skipped
            and all(isinstance(error, InvalidRequestError) for error in errors)
        ):
            return errors[0]
        upstream = [error for error in errors if isinstance(error, UpstreamError)]
        if upstream and len(upstream) == len(errors) and not self.skipped:
            if self._is_one_story(upstream):
                return upstream[-1]
            if all(map(is_rate_limited, upstream)):
                return _all_busy(upstream, now)
        told = ", ".join(f"{a.provider}/{a.model} {a.reason}" for a in self.attempts[-10:])
        return AllTargetsFailedError(f"no target has answered: {told}")

    def _is_one_story(self, errors: list[UpstreamError]) -> bool:
        """Whether the last error tells all: of one target, or of several that were too slow
        or unreadable alike.

        A spent quota doesn't: it is no fault of the caller, so it is not passed on as one.
        """
        last = errors[-1]
        is_refusal = isinstance(last, UpstreamRefusedError)
        if len({type(error) for error in errors}) > 1:
            return False
        if is_refusal and fault_of(last) is Fault.USELESS:
            return False
        is_one = len({candidate for candidate, _ in self.failures}) == 1
        return is_one or not (is_refusal or type(last) is UpstreamError)


def _all_busy(errors: list[UpstreamError], now: float) -> TargetsBusyError:
    told = [s for error in errors if (s := retry_after_s(error.headers, now)) is not None]
    seconds = max(1, ceil(min(told, default=1.0)))
    return TargetsBusyError(
        f"all targets ask to come later, the soonest in {seconds} s",
        reason="rate_limited",
        headers={"retry-after": str(seconds)},
    )

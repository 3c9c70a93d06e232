"""How each target fares: its breaker and its budget of retries, by provider and model.

Targets come from config alone, so there are as many as config ever named. It is shared by
all routes that lead to a target; what a failure means for it is each route's policy. What
is known of a target ends with its edition: a provider with another address starts afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sidecar.domain import Json
from sidecar.errors import UpstreamError
from sidecar.events import BreakerChanged
from sidecar.route import breaker
from sidecar.route.breaker import Admission, State, Word
from sidecar.route.policy import BreakerPolicy
from sidecar.route.retry import Fault, RetryBudget, fault_of, is_rate_limited
from sidecar.route.table import Target

_ANSWERS = (Fault.CALLER, Fault.TOO_LONG, Fault.FILTERED)


def word_of(error: UpstreamError) -> Word:
    """What a failure says of the target.

    A refusal is an answer, and a rate limit is one too: it tells when to come again, and a
    breaker that opened for it would keep calls away that the limit lets through. What is
    wrong with a caller's own key or quota must not keep others away.
    """
    is_callers = error.reason == "client_quota" or fault_of(error) in _ANSWERS
    if is_callers or is_rate_limited(error):
        return Word.WELL
    return Word.UNWELL


class TargetHealth:
    """One target's. Use on one event loop."""

    __slots__ = ("_breaker", "_changed", "budget", "edition")

    def __init__(self, changed: Callable[[State], None], edition: int = 0) -> None:
        self._breaker = breaker.CLOSED
        self._changed = changed
        self.edition = edition
        self.budget = RetryBudget()

    def admit(self, now: float, *, forced: bool = False) -> Admission:
        """Whether a call may go; each that may must be `heard` of."""
        after, admission = breaker.asked(self._breaker, now, forced=forced)
        self._become(after)
        return admission

    def heard(self, word: Word, admission: Admission, policy: BreakerPolicy, now: float) -> None:
        """How a call that was let through has ended."""
        self._become(breaker.heard(self._breaker, word, now, policy, admission))

    @property
    def is_open(self) -> bool:
        """Whether calls are kept away, a probe at the most excepted."""
        return self._breaker.state is not State.CLOSED

    def retire(self) -> None:
        """Another edition is asked from now on: what is heard of this one is told to nobody."""
        if self.is_open:
            self._changed(State.CLOSED)
        self._changed = _to_nobody

    def told(self, now: float) -> Mapping[str, Json]:
        """For an operator: the state, the failures that count, the seconds until a probe."""
        known = self._breaker
        wait_s = max(0.0, known.until - now) if known.state is State.OPEN else 0.0
        return {
            "state": known.state.name.lower(),
            "failures": len(known.failures),
            "probe_in_s": round(wait_s, 1),
        }

    def _become(self, after: breaker.Breaker) -> None:
        before, self._breaker = self._breaker, after
        if before.state is not after.state:
            self._changed(after.state)


class Health:
    """Every target's, made when it is first asked."""

    def __init__(self, tell: Callable[[BreakerChanged], None]) -> None:
        self._tell = tell
        self._targets: dict[tuple[str, str], TargetHealth] = {}

    def of(self, target: Target) -> TargetHealth:
        """This target's."""
        place = (target.provider, target.model)
        known = self._targets.get(place)
        if known is None or known.edition < target.edition:
            return self._renewed(place, known, target.edition)
        if known.edition > target.edition:
            # A call that began before a reload: how it fares there tells of nobody else.
            return TargetHealth(_to_nobody, target.edition)
        return known

    def states(self, now: float) -> Mapping[tuple[str, str], Mapping[str, Json]]:
        """Each target that was asked so far; one that was not is closed."""
        return {place: health.told(now) for place, health in self._targets.items()}

    def _renewed(
        self, place: tuple[str, str], known: TargetHealth | None, edition: int
    ) -> TargetHealth:
        if known is not None:
            known.retire()

        def changed(state: State) -> None:
            self._tell(BreakerChanged(*place, int(state)))

        fresh = self._targets[place] = TargetHealth(changed, edition)
        return fresh


def _to_nobody(state: State) -> None:
    """What is heard of an edition that is past."""

"""When a failing target is left alone: a circuit breaker as a table of transitions.

Pure: states are frozen, times (monotonic seconds) are arguments.

    state      asked                       well          unwell              unsaid
    closed     let through                 forgives one  counts; may open    -
    open       refused, from `until` on    -             -                   -
               one probe: half-open;
               sooner where it is forced
    half-open  refused                     closed        open                open, due at once

A call that has nobody else to ask forces a probe: at once when the breaker has just opened,
then each `FORCED_EVERY_S`, so that an outage of all targets is asked about and not hammered.

A dash is "nothing changes". Only the probe's own outcome moves a half-open breaker: what
was asked before the breaker opened, and ends late, tells of the past.

A success forgives one failure, so that a breaker opens where failures outnumber successes
by `BreakerPolicy.failures` within its window. Counting failures alone would open it on a
busy target for a few failures in a thousand; counting only failures in a row would never
open it on a target that fails every other call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TypeAlias

from sidecar.route.policy import BreakerPolicy

FORCED_EVERY_S = 1.0
"""The shortest time from a probe that failed to the next one that is forced."""


class State(IntEnum):
    """The value of the metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Word(Enum):
    """What the end of an attempt says of the target's health."""

    WELL = "well"
    """It answered, be it with a refusal or with a request to come later."""
    UNWELL = "unwell"
    UNSAID = "unsaid"
    """Nothing: the caller left, or the target was not reached for a reason of ours."""


class Admission(Enum):
    """Whether a call may go to the target."""

    FREE = "free"
    PROBE = "probe"
    """It may, and its outcome decides for all."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` are times, oldest first, while closed; `until` is when an open one is due,
    `forced_from` when a probe may be forced.
    """

    state: State = State.CLOSED
    failures: tuple[float, ...] = ()
    until: float = 0.0
    forced_from: float = 0.0


CLOSED = Breaker()
_HALF_OPEN = Breaker(State.HALF_OPEN)


def asked(breaker: Breaker, now: float, *, forced: bool = False) -> tuple[Breaker, Admission]:
    """A call wants to go. `forced` lets a probe through before an open breaker is due."""
    if breaker.state is State.CLOSED:
        return breaker, Admission.FREE
    due = min(breaker.until, breaker.forced_from) if forced else breaker.until
    if breaker.state is State.OPEN and now >= due:
        return _HALF_OPEN, Admission.PROBE
    return breaker, Admission.REFUSED


def heard(
    breaker: Breaker, word: Word, now: float, policy: BreakerPolicy, admission: Admission
) -> Breaker:
    """An attempt that was let through has ended."""
    is_probes = breaker.state is State.HALF_OPEN
    if is_probes is not (admission is Admission.PROBE):
        return breaker
    change = _TABLE.get((breaker.state, word))
    return breaker if change is None else change(breaker, now, policy)


def _forgives(breaker: Breaker, now: float, policy: BreakerPolicy) -> Breaker:
    failures = breaker.failures[1:]
    return Breaker(failures=failures) if failures else CLOSED


def _counts(breaker: Breaker, now: float, policy: BreakerPolicy) -> Breaker:
    recent = tuple(at for at in breaker.failures if at > now - policy.window_s)
    failures = (*recent, now)
    if len(failures) >= policy.failures:
        return _opens(breaker, now, policy)
    return Breaker(failures=failures)


def _opens(breaker: Breaker, now: float, policy: BreakerPolicy) -> Breaker:
    return Breaker(State.OPEN, until=now + policy.open_s, forced_from=now)


def _opens_again(breaker: Breaker, now: float, policy: BreakerPolicy) -> Breaker:
    return Breaker(State.OPEN, until=now + policy.open_s, forced_from=now + FORCED_EVERY_S)


def _is_due(breaker: Breaker, now: float, policy: BreakerPolicy) -> Breaker:
    return Breaker(State.OPEN, until=now, forced_from=now)


def _closes(breaker: Breaker, now: float, policy: BreakerPolicy) -> Breaker:
    return CLOSED


_Change: TypeAlias = Callable[[Breaker, float, BreakerPolicy], Breaker]
_TABLE: Mapping[tuple[State, Word], _Change] = {
    (State.CLOSED, Word.WELL): _forgives,
    (State.CLOSED, Word.UNWELL): _counts,
    (State.HALF_OPEN, Word.WELL): _closes,
    (State.HALF_OPEN, Word.UNWELL): _opens_again,
    (State.HALF_OPEN, Word.UNSAID): _is_due,
}

"""Which step of a budget's ladder holds at what part spent. Pure.

Only committed money counts, never held: a burst of calls that are held at their worst case
would else degrade the very calls that turn out to be cheap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidecar.budget.terms import Account, Step, StepKind

_STRICTNESS = {kind: place for place, kind in enumerate(StepKind)}


def step_at(ladder: Sequence[Step], spent: int, limit: int) -> Step | None:
    """The highest step that is reached; of two at one height the stricter."""
    reached = [step for step in ladder if spent * step.at.denominator >= limit * step.at.numerator]
    return max(reached, key=lambda step: (step.at, _STRICTNESS[step.do]), default=None)


def strictest(steps: Iterable[tuple[Step, Account]]) -> tuple[Step, Account] | None:
    """The one to take of several accounts' steps.

    Reject before cache only before a variant; of two alike the one that begins later, and
    then the first.
    """
    return max(steps, key=lambda each: (_STRICTNESS[each[0].do], each[0].at), default=None)

"""Serve a near question's answer only above a fixed cosine and with equal numbers.

This holds until a calibrated verifier takes its place behind the same face; the
operator's wrong-hit limit is not in force with it. Confidence is the cosine itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.reasons import Reason
from sidecar.verify.guards import why_numbers_differ

MIN_COSINE = 0.92


@dataclass(frozen=True, slots=True)
class Pair:
    """A stored question beside its cosine to the new one."""

    question: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which candidate may answer, by its place in the list; None with a reason if none may.

    `confidence` is that of the candidate served, or of the nearest one refused.
    """

    served: int | None
    reason: Reason | None
    confidence: float | None


class FixedVerifier:
    """Judges candidates by cosine and numbers."""

    def __init__(self, min_cosine: float = MIN_COSINE) -> None:
        self.threshold = min_cosine

    def judge(self, question: str, candidates: Sequence[Pair]) -> Verdict:
        """The first candidate, nearest first, that passes; else why the nearest did not."""
        refusal: Reason = Reason.NOT_FOUND
        for place, pair in enumerate(candidates):
            reason = self._why_not(question, pair)
            if reason is None:
                return Verdict(place, None, pair.similarity)
            if place == 0:
                refusal = reason
        return Verdict(None, refusal, candidates[0].similarity if candidates else None)

    def _why_not(self, question: str, pair: Pair) -> Reason | None:
        if not pair.similarity >= self.threshold:  # NaN is near to nothing
            return Reason.BELOW_THRESHOLD
        return why_numbers_differ(question, pair.question)

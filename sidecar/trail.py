"""What happens to one request, noted while it happens, and closed into a `RequestRow`.

A trail is written by one request on one event loop, so it needs no lock. Notes are
appended, never changed: the row tells every decision in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sidecar.clock import Clock
from sidecar.domain import NOTHING, Attempt, Call, Json, Outcome, Usage
from sidecar.events import Decision, RequestRow
from sidecar.reasons import Reason

MAX_NAME_CHARS = 200


def shown(name: str) -> str:
    """A name from outside, fit for a header, a log line and a row: printable and short."""
    if len(name) <= MAX_NAME_CHARS and name.isprintable():
        return name
    return "".join(sign if sign.isprintable() else "?" for sign in name[:MAX_NAME_CHARS])


class Trail:
    """The notes of one request. Public fields are set by the pipeline as it learns them."""

    __slots__ = (
        "_began", "_clock", "_decisions", "_stages", "age_s", "answered_model",
        "answered_provider", "attempts", "call", "confidence", "entry", "error",
        "first_token_ms", "key", "outcome", "provider_ms", "reason", "scope",
        "similarity", "store_reason", "stored", "threshold", "usage", "variant",
    )  # fmt: skip

    def __init__(self, call: Call, clock: Clock) -> None:
        self.call = call
        self._clock = clock
        self._began = clock.tick()
        self._decisions: list[Decision] = []
        self._stages: dict[str, float] = {}
        self.attempts: list[Attempt] = []
        self.outcome = Outcome.MISS
        self.reason = ""
        self.store_reason = ""
        self.stored = False
        self.scope = ""
        self.key = ""
        self.entry = ""
        self.similarity: float | None = None
        self.confidence: float | None = None
        self.threshold: float | None = None
        self.age_s: float | None = None
        self.answered_model = ""
        self.answered_provider = ""
        self.variant = ""
        self.error = ""
        self.usage: Usage | None = None
        self.provider_ms = 0.0
        self.first_token_ms: float | None = None

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request came."""
        return (self._clock.tick() - self._began) * 1e3

    def note(self, stage: str, word: str, detail: Mapping[str, Json] = NOTHING) -> None:
        """Something was decided."""
        self._decisions.append(Decision(stage, word, round(self.elapsed_ms, 3), detail))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to `stage`, also when it is left by an error."""
        began = self._clock.tick()
        try:
            yield
        finally:
            spent = (self._clock.tick() - began) * 1e3
            self._stages[stage] = self._stages.get(stage, 0.0) + spent

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as a provider's, not as this process's own."""
        began = self._clock.tick()
        try:
            yield
        finally:
            self.provider_ms += (self._clock.tick() - began) * 1e3

    def understood(self, scope: bytes, key: bytes, variant: str) -> None:
        """The request has a place in the cache and a route."""
        self.scope, self.key, self.variant = scope.hex(), key.hex(), variant

    def refused(self, stage: str, reason: Reason) -> None:
        """The cache did not serve at this stage; the last such reason is the request's."""
        self.reason = reason.value
        self.note(stage, reason.value)

    def judged(
        self, entry: str, similarity: float, confidence: float | None, threshold: float
    ) -> None:
        """The best candidate, served or not."""
        self.entry, self.similarity = entry, similarity
        self.confidence, self.threshold = confidence, threshold

    def hit(self, outcome: Outcome, entry: str, model: str, provider: str) -> None:
        """A stored answer is given."""
        if outcome is Outcome.EXACT:  # whatever was near before, it is not what is given
            self.similarity = self.confidence = self.threshold = None
        self.outcome, self.entry, self.reason = outcome, entry, ""
        self.answered_model, self.answered_provider = shown(model), provider
        self.note("cache", outcome.value)

    def shadowed(self) -> None:
        """The hit just noted is held back."""
        self.outcome = Outcome.SHADOW
        self.refused("cache", Reason.SHADOW)

    def joined(self, leader: str) -> None:
        """Another request's flight is shared."""
        self.outcome = Outcome.COALESCED
        self.note("flight", "joined", {"leader": leader})

    def answered(
        self, model: str, provider: str, attempts: tuple[Attempt, ...], usage: Usage | None
    ) -> None:
        """A provider has answered."""
        self.answered_model, self.answered_provider = shown(model), provider
        self.attempts, self.usage = list(attempts), usage

    def first_token(self) -> None:
        """The first content went to the client. Only the first call counts."""
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms

    def close(self, status: int) -> RequestRow:
        """The row of what was noted, with the HTTP status that the client got."""
        call, caller, usage = self.call, self.call.caller, self.usage
        return RequestRow(
            id=call.id,
            started_at=call.received_at,
            endpoint=call.endpoint.value,
            tenant=caller.tenant,
            user=caller.user,
            feature=caller.feature,
            department=caller.department,
            session=caller.session,
            client=caller.client,
            trace_parent=shown(call.trace_parent or ""),
            model=shown(call.request.model),
            variant=self.variant,
            stream=call.request.stream,
            prompt="",
            scope=self.scope,
            key=self.key,
            status=status,
            error=self.error,
            outcome=self.outcome.value,
            reason=self.reason,
            stored=self.stored,
            store_reason=self.store_reason,
            entry=self.entry,
            similarity=self.similarity,
            confidence=self.confidence,
            threshold=self.threshold,
            age_s=self.age_s,
            answered_model=self.answered_model,
            answered_provider=self.answered_provider,
            degraded="",
            attempts=tuple(self.attempts),
            decisions=tuple(self._decisions),
            stages_ms=dict(self._stages),
            total_ms=self.elapsed_ms,
            provider_ms=self.provider_ms,
            first_token_ms=self.first_token_ms,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            cached_input_tokens=usage.cached_input_tokens if usage else None,
            reasoning_tokens=usage.reasoning_tokens if usage else None,
            context_tokens_removed=None,
            cost_nanousd=None,
            saved_cache_nanousd=None,
            saved_context_nanousd=None,
            saved_route_nanousd=None,
        )

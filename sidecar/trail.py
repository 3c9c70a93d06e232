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
_NOT_USED: Mapping[str, Json] = {
    "input_tokens": None, "output_tokens": None, "cached_input_tokens": None,
    "reasoning_tokens": None, "cache_write_tokens": None,
    "cost_nanousd": 0, "unpriced": False, "estimated": False,
}  # fmt: skip
"""Of a request that shared another one's flight: what that one used is in its row alone."""


def shown(name: str) -> str:
    """A name from outside, fit for a header, a log line and a row: printable and short."""
    if len(name) <= MAX_NAME_CHARS and name.isprintable():
        return name
    return "".join(sign if sign.isprintable() else "?" for sign in name[:MAX_NAME_CHARS])


class Trail:
    """The notes of one request. Public fields are set by the pipeline as it learns them."""

    __slots__ = (
        "_began", "_clock", "_decisions", "_stages", "age_s", "answered_model",
        "answered_provider", "attempts", "call", "confidence", "degraded", "entry", "error",
        "first_token_ms", "key", "outcome", "provider_ms", "reason", "saved_cache",
        "saved_route", "scope", "similarity", "store_reason", "stored", "threshold", "usage",
        "variant",
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
        self.degraded = ""
        self.usage: Usage | None = None
        self.saved_cache: int | None = None
        self.saved_route: int | None = None
        self.provider_ms = 0.0
        self.first_token_ms: float | None = None

    def tick(self) -> float:
        """Where the clock is, for `spent`."""
        return self._clock.tick()

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request came."""
        return (self._clock.tick() - self._began) * 1e3

    @property
    def cost_nanousd(self) -> int | None:
        """What providers were paid for it; None where a price is not known.

        Whoever shares another one's flight pays nothing.
        """
        if self.outcome is Outcome.COALESCED:
            return 0
        costs = [attempt.cost_nanousd for attempt in self.attempts]
        return None if None in costs else sum(filter(None, costs))

    @property
    def saved_nanousd(self) -> int:
        """What it would have cost more without the cache, and without a cheaper route."""
        return (self.saved_cache or 0) + (self.saved_route or 0)

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
            self.spent(stage, began)

    def spent(self, stage: str, since: float) -> None:
        """Add the time since that tick of the clock to `stage`."""
        ms = (self._clock.tick() - since) * 1e3
        self._stages[stage] = self._stages.get(stage, 0.0) + ms

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
        """The hit just noted is held back, so it saves nothing."""
        self.outcome, self.saved_cache = Outcome.SHADOW, None
        self.refused("cache", Reason.SHADOW)

    def joined(self, leader: str) -> None:
        """Another request's flight is shared."""
        self.outcome = Outcome.COALESCED
        self.note("flight", "joined", {"leader": leader})

    def degrade(self, step: str, detail: Mapping[str, Json]) -> None:
        """A budget's ladder takes this step."""
        self.degraded = step
        self.note("budget", step, detail)

    def parted(self) -> None:
        """That flight is left, for one of its own."""
        self.outcome, self.attempts = Outcome.MISS, []
        self.note("flight", "parted")

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
        row = self._row(status)
        return row._replace(**_NOT_USED) if row.joined else row

    def _row(self, status: int) -> RequestRow:
        call, caller, usage = self.call, self.call.caller, self.usage
        costs = [attempt.cost_nanousd for attempt in self.attempts]
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
            degraded=self.degraded,
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
            cost_nanousd=None if None in costs else sum(filter(None, costs)),
            saved_cache_nanousd=self.saved_cache,
            saved_context_nanousd=None,
            saved_route_nanousd=self.saved_route,
            cache_write_tokens=usage.cache_write_tokens if usage else None,
            unpriced=None in costs,
            estimated=any(attempt.estimated for attempt in self.attempts),
        )

"""Ask a provider and keep the answer: the work of one flight, done for all its passengers."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_hex

from sidecar.cache.entry import Entry
from sidecar.cache.policy import calls_tools, why_unstorable
from sidecar.cache.tiers import Cache
from sidecar.clock import Clock
from sidecar.domain import Attempt, Chunk, Completion
from sidecar.errors import UpstreamError
from sidecar.lookup import Lookup
from sidecar.question import Question
from sidecar.reasons import Reason
from sidecar.reply import Reply
from sidecar.route.dispatch import Dispatcher
from sidecar.route.table import Target
from sidecar.singleflight import Flight


@dataclass(frozen=True, slots=True)
class Landed:
    """What a flight brings home. `found` is set where the second look made it needless."""

    completion: Completion
    model: str = ""
    provider: str = ""
    attempts: tuple[Attempt, ...] = ()
    stored: bool = False
    refusal: Reason | None = None
    found: Reply | None = None


class Filler:
    """Fills a gap in the cache from a provider."""

    def __init__(self, lookup: Lookup, dispatcher: Dispatcher, cache: Cache, clock: Clock) -> None:
        self._lookup = lookup
        self._dispatcher = dispatcher
        self._cache = cache
        self._clock = clock

    async def fill(self, asked: Question, flight: Flight[Chunk, Landed]) -> Landed:
        """Look again, ask, keep. A failed attempt is named in the error that it ends with."""
        if asked.flight_key and (found := await self._lookup.exact(asked)) and found.completion:
            trail = found.trail
            model, provider = trail.answered_model, trail.answered_provider
            return Landed(found.completion, model, provider, found=found)
        attempts: list[Attempt] = []
        try:
            completion, target = await self._dispatcher.ask(
                asked.call, asked.route, emit=flight.emit, attempts=attempts
            )
        except UpstreamError as error:
            error.attempts = tuple(attempts)
            raise
        return await self._land(asked, completion, target, tuple(attempts))

    async def _land(
        self,
        asked: Question,
        completion: Completion,
        target: Target,
        attempts: tuple[Attempt, ...],
    ) -> Landed:
        model = completion.model or target.model
        refusal = asked.permission.write or why_unstorable(completion, asked.settings)
        if refusal is None:
            entry = self._entry(asked, completion, model, target, attempts)
            refusal = await self._keep(asked, entry)
        return Landed(completion, model, target.provider, attempts, refusal is None, refusal)

    async def _keep(self, asked: Question, entry: Entry) -> Reason | None:
        # What was not compared was not embedded either; others may still find it by meaning.
        vector = await self._lookup.embed(asked) if entry.question else None
        with asked.trail.timed("store"):
            kept = self._cache.put(entry, vector, asked_at=asked.call.received_at)
        return None if kept else Reason.NOT_KEPT

    def _entry(
        self,
        asked: Question,
        completion: Completion,
        model: str,
        target: Target,
        attempts: tuple[Attempt, ...],
    ) -> Entry:
        call, now = asked.call, self._clock.now()
        by_meaning = asked.permission.meaning is None and not calls_tools(completion)
        return Entry(
            id=token_hex(8),
            key=asked.key.exact,
            scope=asked.key.scope,
            question=(asked.key.question or "") if by_meaning else "",
            completion=completion,
            model=call.request.model,
            answered_model=model,
            provider=target.provider,
            tenant=call.caller.tenant,
            user=call.caller.user,
            prompt="",
            tags=call.controls.tags,
            created_at=now,
            expires_at=now + asked.permission.ttl_s,
            value=sum(attempt.ms for attempt in attempts),
        )

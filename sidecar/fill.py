"""Ask a provider and keep the answer: the work of one flight, done for all its passengers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from secrets import token_hex

from sidecar.cache.entry import Entry
from sidecar.cache.policy import calls_tools, why_unstorable
from sidecar.cache.tiers import Cache
from sidecar.cashier import Cashier
from sidecar.clock import Clock
from sidecar.domain import Attempt, Chunk, Completion
from sidecar.errors import SidecarError
from sidecar.identify import with_user_label
from sidecar.lookup import Lookup
from sidecar.question import Question
from sidecar.reasons import Reason
from sidecar.reply import Reply
from sidecar.route.dispatch import Answered, Dispatcher
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
    """Fills a gap in the cache from a provider.

    `store_fallback`, which may be changed at any time, says whether a fallback's answer is
    kept: it would be told long after those who were meant to answer are back.
    """

    def __init__(  # noqa: PLR0913 - what it stands on, each by name
        self,
        lookup: Lookup,
        dispatcher: Dispatcher,
        cache: Cache,
        clock: Clock,
        cashier: Cashier,
        *,
        store_fallback: bool = False,
    ) -> None:
        self.store_fallback = store_fallback
        self._lookup = lookup
        self._dispatcher = dispatcher
        self._cache = cache
        self._clock = clock
        self.cashier = cashier

    async def fill(self, asked: Question, flight: Flight[Chunk, Landed]) -> Landed:
        """Look again, ask, keep. A failed attempt is named in the error that it ends with."""
        if asked.flight_key and (found := await self._lookup.exact(asked)) and found.completion:
            trail = found.trail
            model, provider = trail.answered_model, trail.answered_provider
            return Landed(found.completion, model, provider, found=found)
        # In all passengers' trails: what was tried stands in the row of one that leaves midway.
        attempts: list[Attempt] = flight.notes
        try:
            call = asked.call
            if call.caller.user:
                call = replace(call, request=with_user_label(call.request, call.caller))
            answered = await self._dispatcher.ask(
                call,
                asked.asked_route,
                emit=flight.emit,
                attempts=attempts,
                till=self.cashier.till(call, asked.trail),
            )
        except SidecarError as error:
            error.attempts = tuple(attempts)
            raise
        return await self._land(asked, answered, tuple(attempts))

    async def _land(
        self, asked: Question, answered: Answered, attempts: tuple[Attempt, ...]
    ) -> Landed:
        completion, target = answered.completion, answered.target
        model = completion.model or target.model
        if asked.cheaper or answered.is_fallback:
            asked.trail.saved_route = self._spared(asked, answered, attempts)
        refusal = self._why_not_kept(asked, answered)
        if refusal is None:
            entry = self._entry(asked, answered, model, attempts)
            refusal = await self._keep(asked, entry)
        return Landed(completion, model, target.provider, attempts, refusal is None, refusal)

    def _spared(
        self, asked: Question, answered: Answered, attempts: tuple[Attempt, ...]
    ) -> int | None:
        """What the model's own first target would have cost more."""
        first = asked.route.targets[0]
        usage = answered.completion.usage
        own = self.cashier.worth(first.provider, first.model, usage)
        paid = attempts[-1].cost_nanousd if attempts else None
        return None if own is None or paid is None else max(0, own - paid)

    def _why_not_kept(self, asked: Question, answered: Answered) -> Reason | None:
        if reason := asked.permission.write:
            return reason
        if answered.is_fallback and not self.store_fallback:
            return Reason.FALLBACK
        if asked.cheaper and not self.store_fallback:
            return Reason.DEGRADED
        return why_unstorable(answered.completion, asked.settings)

    async def _keep(self, asked: Question, entry: Entry) -> Reason | None:
        # What was not compared was not embedded either; others may still find it by meaning.
        vector = await self._lookup.embed(asked) if entry.question else None
        with asked.trail.timed("store"):
            kept = self._cache.put(entry, vector, asked_at=asked.call.received_at)
        return None if kept else Reason.NOT_KEPT

    def _entry(
        self,
        asked: Question,
        answered: Answered,
        model: str,
        attempts: tuple[Attempt, ...],
    ) -> Entry:
        call, now, completion = asked.call, self._clock.now(), answered.completion
        by_meaning = asked.permission.meaning is None and not calls_tools(completion)
        return Entry(
            id=token_hex(8),
            key=asked.key.exact,
            scope=asked.key.scope,
            question=(asked.key.question or "") if by_meaning else "",
            completion=completion,
            model=call.request.model,
            answered_model=model,
            provider=answered.target.provider,
            tenant=call.caller.tenant,
            user=call.caller.user,
            prompt="",
            tags=call.controls.tags,
            created_at=now,
            expires_at=now + asked.permission.ttl_s,
            value=sum(attempt.ms for attempt in attempts),
        )

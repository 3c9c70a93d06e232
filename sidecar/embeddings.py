"""The way of a request for embeddings: look up each item, fly for the rest, join both.

The same promises as for chat: a broken cache is a miss, every attempt and decision is in
the trail, and a fallback's answer is not kept. An item that stands twice in a request is
asked for once.

Requests that lack the same items at the same time share one flight. Those that lack some
of them in common do not: a provider refuses a request as a whole, and nobody shall be
refused for what stands in another's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256

from sidecar.cache.embeddings import EmbeddingCache
from sidecar.cache.embeddings_key import EmbeddingScope, item_keys, permit_embeddings
from sidecar.cache.embeddings_store import StoredVector
from sidecar.cache.policy import Settings
from sidecar.cashier import shared
from sidecar.clock import Clock
from sidecar.domain import Call, Outcome, Usage
from sidecar.embedding_fill import EmbeddingFiller, Landed, Wanted
from sidecar.errors import CacheMissError, UpstreamTimeoutError
from sidecar.patience import due, patience_until
from sidecar.pipeline import leaving, naming_attempts
from sidecar.reasons import Reason
from sidecar.route.table import RouteTable
from sidecar.singleflight import Flight, Flights
from sidecar.tasks import Tasks
from sidecar.trail import Trail
from sidecar.wire.embeddings import EmbeddingRequest, Item

NOTHING_COUNTED = Usage(0, 0)


@dataclass(frozen=True, slots=True)
class EmbeddingReply:
    """One vector for each item asked for, as JSON. `cached` is how many the cache gave.

    `usage` is what a provider told for the rest; nothing where there was no rest.
    """

    model: str
    vectors: tuple[bytes, ...]
    usage: Usage
    cached: int
    ttl_s: float | None = None

    @property
    def is_partial(self) -> bool:
        """Whether a part came from the cache, and a part from a provider."""
        return 0 < self.cached < len(self.vectors)


class Embeddings:
    """Answers requests for embeddings. `routes` may be replaced at any time.

    A target whose provider makes no embeddings is passed over, and where there is no other
    the request is refused by name.
    """

    def __init__(  # noqa: PLR0913 - what it stands on, each by name
        self,
        filler: EmbeddingFiller,
        routes: RouteTable,
        cache: EmbeddingCache,
        settings_for: Callable[[Call], Settings],
        clock: Clock,
        *,
        tasks: Tasks,
    ) -> None:
        self.routes = routes
        self._filler = filler
        self._cache = cache
        self._settings_for = settings_for
        self._clock = clock
        self._flights: Flights[None, Landed] = Flights(tasks)

    async def answer(self, call: Call, request: EmbeddingRequest, trail: Trail) -> EmbeddingReply:
        """The vectors of all items, each from the cache or from a provider."""
        wanted = self._understand(call, request, trail)
        found = await self._look_up(wanted)
        missing = _missing(wanted, found)
        if not missing:
            return self._all_cached(wanted, found)
        if call.controls.only_if_cached:
            raise CacheMissError("not all items are cached, and only that was allowed")
        # Vectors of a cheaper model could not be compared: of the ladder only refusals hold.
        self._filler.cashier.variant(call, trail)
        landed = await shared(trail, call.caller, lambda: self._fly(wanted, missing))
        found = {**found, **landed.found}
        return _joined(wanted, found, landed) if landed.made else self._all_cached(wanted, found)

    def _understand(self, call: Call, request: EmbeddingRequest, trail: Trail) -> Wanted:
        route = self.routes.require(request.model, call.route)
        permission = permit_embeddings(call, self._settings_for(call))
        scope = EmbeddingScope(
            permission.sharing, route.variant, request.encoding, request.parameters
        ).digest(call)
        keys = item_keys(scope, request.items)
        trail.understood(scope, sha256(b"".join(keys)).digest(), route.variant)
        return Wanted(call, request, trail, route, permission, keys, self._cache.generation)

    async def _look_up(self, wanted: Wanted) -> dict[bytes, StoredVector]:
        """What may be served. Nothing in shadow mode, which only notes what it would do."""
        trail, permission = wanted.trail, wanted.permission
        if permission.read is not None:
            trail.refused("policy", permission.read)
            trail.outcome = Outcome.BYPASS if permission.bypass else Outcome.MISS
            return {}
        with trail.timed("search"):
            found = await self._cache.find(wanted.keys)
        now = self._clock.now()
        fresh = {key: kept for key, kept in found.items() if wanted.may_be(kept, now)}
        _note(wanted, found, fresh)
        return {} if permission.shadow else fresh

    async def _fly(self, wanted: Wanted, missing: Mapping[bytes, Item]) -> Landed:
        """Take part in the one flight for these items; who may not share flies alone."""
        trail, call = wanted.trail, wanted.call
        boarded = self._flights.boarded(
            _flight_key(wanted, missing),
            lambda flight: self._filler.fill(wanted, missing, flight.notes),
            leader=call.id,
        )
        with naming_attempts(trail), ExitStack() as aboard:
            flight = aboard.enter_context(boarded)
            aboard.callback(leaving, flight, trail)
            aboard.enter_context(trail.waiting())
            trail.attempts = flight.notes
            if flight.leader != call.id:
                trail.joined(flight.leader)
            try:
                return await self._arrival(wanted, flight)
            except UpstreamTimeoutError:
                aboard.close()
                await flight.forsaken()  # what was under way for nobody else is named as well
                raise

    async def _arrival(self, wanted: Wanted, flight: Flight[None, Landed]) -> Landed:
        trail = wanted.trail
        async with patience_until(due(wanted.call.timeout_s, trail.elapsed_ms)):
            landed = await flight.result()
        if landed.made:
            trail.answered(landed.model, landed.provider, landed.attempts, landed.usage)
        trail.stored = landed.stored
        trail.store_reason = landed.refusal or ""
        return landed

    def _all_cached(self, wanted: Wanted, found: Mapping[bytes, StoredVector]) -> EmbeddingReply:
        kept = [found[key] for key in wanted.keys]
        now, trail = self._clock.now(), wanted.trail
        trail.hit(Outcome.EXACT, "", kept[0].answered_model, kept[0].provider)
        trail.age_s = max(now - each.created_at for each in kept)
        trail.usage = NOTHING_COUNTED
        return EmbeddingReply(
            kept[0].answered_model,
            tuple(each.vector for each in kept),
            NOTHING_COUNTED,
            len(kept),
            min(each.expires_at for each in kept) - now,
        )


def _note(wanted: Wanted, found: Mapping[bytes, object], fresh: Mapping[bytes, object]) -> None:
    trail = wanted.trail
    cached = sum(key in fresh for key in wanted.keys)
    trail.note("cache", "looked", {"items": len(wanted.keys), "cached": cached})
    if not cached:
        trail.refused("cache", Reason.TOO_OLD if found else Reason.NOT_FOUND)
    elif wanted.permission.shadow and cached == len(wanted.keys):
        trail.shadowed()


def _missing(wanted: Wanted, found: Mapping[bytes, object]) -> dict[bytes, Item]:
    """What has to be asked for, each item once."""
    pairs = zip(wanted.keys, wanted.request.items, strict=True)
    return {key: item for key, item in pairs if key not in found}


def _flight_key(wanted: Wanted, missing: Mapping[bytes, Item]) -> bytes | None:
    """The same for the same items in whichever order; None for who may not share."""
    return sha256(b"".join(sorted(missing))).digest() if wanted.permission.coalesces else None


def _joined(wanted: Wanted, found: Mapping[bytes, StoredVector], landed: Landed) -> EmbeddingReply:
    made = landed.made
    return EmbeddingReply(
        wanted.trail.answered_model,
        tuple(made[key] if key in made else found[key].vector for key in wanted.keys),
        landed.usage or NOTHING_COUNTED,
        sum(key not in made for key in wanted.keys),
    )

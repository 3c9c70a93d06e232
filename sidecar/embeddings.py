"""The way of a request for embeddings: look up each item, ask for the rest, keep it.

The same promises as for chat: a broken cache is a miss, every attempt and decision is in
the trail, and a fallback's answer is not kept. An item that stands twice in a request is
asked for once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from sidecar.cache.embeddings import EmbeddingCache
from sidecar.cache.embeddings_key import EmbeddingScope, item_keys, permit_embeddings
from sidecar.cache.embeddings_store import StoredVector
from sidecar.cache.policy import Permission, Settings
from sidecar.clock import Clock
from sidecar.domain import Call, Outcome, Usage
from sidecar.embedding_targets import Answered, EmbeddingTargets
from sidecar.errors import CacheMissError
from sidecar.reasons import Reason
from sidecar.route.table import Route, RouteTable
from sidecar.trail import Trail
from sidecar.wire.embeddings import Embedded, EmbeddingRequest, Item

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


class _Asked(NamedTuple):
    """All that follows from a request before anything is looked up."""

    call: Call
    request: EmbeddingRequest
    trail: Trail
    route: Route
    permission: Permission
    keys: list[bytes]


class Embeddings:
    """Answers requests for embeddings. `routes` may be replaced at any time.

    `providers` are all by name, and may change; a target whose provider makes no embeddings
    is passed over, and where there is no other the request is refused by name.
    """

    def __init__(  # noqa: PLR0913 - what it stands on, each by name
        self,
        providers: Mapping[str, object],
        routes: RouteTable,
        cache: EmbeddingCache,
        settings_for: Callable[[Call], Settings],
        clock: Clock,
        *,
        store_fallback: bool = False,
    ) -> None:
        self._targets = EmbeddingTargets(providers, clock)
        self.routes = routes
        self._cache = cache
        self._settings_for = settings_for
        self._clock = clock
        self.store_fallback = store_fallback

    async def answer(self, call: Call, request: EmbeddingRequest, trail: Trail) -> EmbeddingReply:
        """The vectors of all items, each from the cache or from a provider."""
        asked = self._understand(call, request, trail)
        generation = self._cache.generation
        found = await self._look_up(asked)
        missing = _missing(asked, found)
        if not missing:
            return self._all_cached(asked, found)
        if call.controls.only_if_cached:
            raise CacheMissError("not all items are cached, and only that was allowed")
        answered = await self._targets.ask(
            call, request, list(missing.values()), asked.route, trail
        )
        self._keep(asked, list(missing), answered, generation)
        return _joined(asked, found, missing, answered.embedded)

    def _understand(self, call: Call, request: EmbeddingRequest, trail: Trail) -> _Asked:
        route = self.routes.require(request.model, call.route)
        permission = permit_embeddings(call, self._settings_for(call))
        scope = EmbeddingScope(
            permission.sharing, route.variant, request.encoding, request.parameters
        ).digest(call)
        keys = item_keys(scope, request.items)
        trail.understood(scope, sha256(b"".join(keys)).digest(), route.variant)
        return _Asked(call, request, trail, route, permission, keys)

    async def _look_up(self, asked: _Asked) -> dict[bytes, StoredVector]:
        """What may be served. Nothing in shadow mode, which only notes what it would do."""
        trail, permission = asked.trail, asked.permission
        if permission.read is not None:
            trail.refused("policy", permission.read)
            trail.outcome = Outcome.BYPASS if permission.bypass else Outcome.MISS
            return {}
        with trail.timed("search"):
            found = await self._cache.find(asked.keys)
        fresh = {key: kept for key, kept in found.items() if not self._too_old(kept, asked.call)}
        self._note(asked, found, fresh)
        return {} if permission.shadow else fresh

    def _too_old(self, kept: StoredVector, call: Call) -> bool:
        limit = call.controls.max_age_s
        return limit is not None and self._clock.now() - kept.created_at > limit

    def _note(
        self, asked: _Asked, found: Mapping[bytes, object], fresh: Mapping[bytes, object]
    ) -> None:
        trail = asked.trail
        cached = sum(key in fresh for key in asked.keys)
        trail.note("cache", "looked", {"items": len(asked.keys), "cached": cached})
        if not cached:
            trail.refused("cache", Reason.TOO_OLD if found else Reason.NOT_FOUND)
        elif asked.permission.shadow and cached == len(asked.keys):
            trail.shadowed()

    def _all_cached(self, asked: _Asked, found: Mapping[bytes, StoredVector]) -> EmbeddingReply:
        kept = [found[key] for key in asked.keys]
        now = self._clock.now()
        asked.trail.hit(Outcome.EXACT, "", kept[0].answered_model, kept[0].provider)
        asked.trail.age_s = max(now - each.created_at for each in kept)
        asked.trail.usage = NOTHING_COUNTED
        return EmbeddingReply(
            kept[0].answered_model,
            tuple(each.vector for each in kept),
            NOTHING_COUNTED,
            len(kept),
            min(each.expires_at for each in kept) - now,
        )

    def _keep(self, asked: _Asked, keys: list[bytes], answered: Answered, generation: int) -> None:
        trail, permission = asked.trail, asked.permission
        if permission.write is not None:
            trail.store_reason = permission.write.value
            return
        if answered.is_fallback and not self.store_fallback:
            trail.store_reason = Reason.FALLBACK.value
            return
        made = [self._stored(asked, key, vector, answered) for key, vector in zip(
            keys, answered.embedded.vectors, strict=True)]  # fmt: skip
        trail.stored = self._cache.put(made, generation)

    def _stored(self, asked: _Asked, key: bytes, vector: bytes, answered: Answered) -> StoredVector:
        call, now = asked.call, self._clock.now()
        tags = call.controls.tags
        return StoredVector(
            key=key,
            vector=vector,
            model=call.request.model,
            answered_model=answered.embedded.model or answered.target.model,
            provider=answered.target.provider,
            tenant=call.caller.tenant,
            user=call.caller.user,
            tags="\n".join(("", *tags, "")) if tags else "",
            created_at=now,
            expires_at=now + asked.permission.ttl_s,
        )


def _missing(asked: _Asked, found: Mapping[bytes, object]) -> dict[bytes, Item]:
    """What has to be asked for, each item once."""
    pairs = zip(asked.keys, asked.request.items, strict=True)
    return {key: item for key, item in pairs if key not in found}


def _joined(
    asked: _Asked,
    found: Mapping[bytes, StoredVector],
    missing: Mapping[bytes, Item],
    embedded: Embedded,
) -> EmbeddingReply:
    made = dict(zip(missing, embedded.vectors, strict=True))
    return EmbeddingReply(
        asked.trail.answered_model,
        tuple(found[key].vector if key in found else made[key] for key in asked.keys),
        embedded.usage or NOTHING_COUNTED,
        sum(key in found for key in asked.keys),
    )

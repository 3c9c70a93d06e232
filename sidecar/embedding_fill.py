"""Ask for the embeddings that the cache lacks, and keep them: the work of one flight.

It goes the way of a chat (`Dispatcher.fetch`): retries, breakers, caps and the trail are
the same. One thing is not: vectors of two models can't be compared, so a fallback is asked
only where its model has the name of one of the route's targets. The targets themselves may
all answer, for config says that they are one model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

from sidecar.cache.embeddings import EmbeddingCache
from sidecar.cache.embeddings_store import StoredVector
from sidecar.cache.policy import Permission
from sidecar.cashier import Cashier
from sidecar.clock import Clock
from sidecar.domain import Attempt, Call, Timeouts, Usage
from sidecar.errors import InvalidRequestError
from sidecar.identify import with_user_label
from sidecar.reasons import Reason
from sidecar.route.dispatch import Dispatcher
from sidecar.route.table import Route, Target
from sidecar.route.walk import Given
from sidecar.route.wishes import Provider, Whole
from sidecar.till import Till
from sidecar.trail import Trail
from sidecar.wire.embeddings import Embedded, EmbeddingRequest, Item


@runtime_checkable
class Embedder(Protocol):
    """A provider that makes embeddings. Fails with `UpstreamError`."""

    async def embed(
        self,
        request: EmbeddingRequest,
        model: str,
        items: Sequence[Item],
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> Embedded:
        """One vector for each of `items`, in their order."""
        ...


class Wanted(NamedTuple):
    """All that follows from a request before anything is looked up. `generation` is the
    cache's at that time.
    """

    call: Call
    request: EmbeddingRequest
    trail: Trail
    route: Route
    permission: Permission
    keys: list[bytes]
    generation: int

    def may_be(self, kept: StoredVector, now: float) -> bool:
        """Whether what was kept is young enough for the client."""
        limit = self.call.controls.max_age_s
        return limit is None or now - kept.created_at <= limit


@dataclass(frozen=True, slots=True)
class Landed:
    """What a flight brings home, by item: `made` by a provider, or `found` by a second look."""

    found: Mapping[bytes, StoredVector]
    made: Mapping[bytes, bytes] = field(default_factory=dict)
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()
    stored: bool = False
    refusal: Reason | None = None


class EmbeddingFiller:
    """Fills gaps. `store_fallback`, which may be changed at any time, says whether a
    fallback's vectors are kept.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        cache: EmbeddingCache,
        clock: Clock,
        cashier: Cashier,
        *,
        store_fallback: bool = False,
    ) -> None:
        self.store_fallback = store_fallback
        self.cashier = cashier
        self._dispatcher = dispatcher
        self._cache = cache
        self._clock = clock

    async def fill(
        self, wanted: Wanted, missing: Mapping[bytes, Item], attempts: list[Attempt]
    ) -> Landed:
        """Look again, ask for the rest, keep it. `attempts` grows as targets are tried."""
        found = self._landed_meanwhile(wanted, missing)
        rest = {key: item for key, item in missing.items() if key not in found}
        if not rest:
            return Landed(found)
        till = self.cashier.till(wanted.call, wanted.trail)
        wish, route = wish_for(wanted, list(rest.values()), till), comparable(wanted.route)
        given = await self._dispatcher.fetch(wish, wanted.call, route, attempts)
        made = dict(zip(rest, given.answer.vectors, strict=True))
        return self._land(wanted, Landed(found, made, attempts=tuple(attempts)), given)

    def _landed_meanwhile(
        self, wanted: Wanted, missing: Mapping[bytes, Item]
    ) -> dict[bytes, StoredVector]:
        """What another flight has brought since this call has looked; see `singleflight`."""
        if not wanted.permission.coalesces:
            return {}
        now, kept = self._clock.now(), self._cache.in_memory(missing)
        return {key: vector for key, vector in kept.items() if wanted.may_be(vector, now)}

    def _land(self, wanted: Wanted, home: Landed, given: Given[Embedded]) -> Landed:
        refusal = self._keep(wanted, home.made, given)
        return replace(
            home,
            model=given.answer.model or given.target.model,
            provider=given.target.provider,
            usage=given.answer.usage,
            stored=refusal is None,
            refusal=refusal,
        )

    def _keep(
        self, wanted: Wanted, made: Mapping[bytes, bytes], given: Given[Embedded]
    ) -> Reason | None:
        if reason := wanted.permission.write:
            return reason
        if given.is_fallback and not self.store_fallback:
            return Reason.FALLBACK
        vectors = [self._stored(wanted, key, vector, given) for key, vector in made.items()]
        return None if self._cache.put(vectors, wanted.generation) else Reason.NOT_KEPT

    def _stored(
        self, wanted: Wanted, key: bytes, vector: bytes, given: Given[Embedded]
    ) -> StoredVector:
        call, now = wanted.call, self._clock.now()
        tags = call.controls.tags
        return StoredVector(
            key=key,
            vector=vector,
            model=call.request.model,
            answered_model=given.answer.model or given.target.model,
            provider=given.target.provider,
            tenant=call.caller.tenant,
            user=call.caller.user,
            tags="\n".join(("", *tags, "")) if tags else "",
            created_at=now,
            expires_at=now + wanted.permission.ttl_s,
        )


def wish_for(wanted: Wanted, items: Sequence[Item], till: Till) -> Whole[Embedded]:
    """The vectors of these items, of a provider that makes any, paid at `till`."""
    call, route = wanted.call, wanted.route
    labels = with_user_label(call.request, call.caller).labels
    request = replace(wanted.request, labels=labels)

    async def ask(provider: Provider, target: Target) -> Embedded:
        if not isinstance(provider, Embedder):
            till.refused()
            raise no_embeddings(route)
        async with till.embedding(target, items, request.parameters) as bill:
            embedded = await provider.embed(
                request, target.model, items, route.timeouts, client_key=call.client_key
            )
            bill.used(embedded.usage, embedded.model)
        return embedded

    return Whole(ask, till=till)


def comparable(route: Route) -> Route:
    """The route without the fallbacks that are other models."""
    models = {target.model for target in route.targets}
    return replace(route, fallbacks=tuple(t for t in route.fallbacks if t.model in models))


def no_embeddings(route: Route) -> InvalidRequestError:
    """The refusal where nobody of a route makes any."""
    names = ", ".join(dict.fromkeys(target.provider for target in route.targets))
    return InvalidRequestError(
        f"the model {route.name} makes no embeddings here: its provider ({names}) has no such API",
        param="model",
    )

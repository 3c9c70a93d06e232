"""The way of a request, on one page: look, compare, fly, keep. No flags, no vendor.

Each step is a room of its own behind a small face; this file only knows their order.
It keeps three promises: a hit is never stored again under the new question (meaning is
not transitive), a broken cache is a miss, and every decision is noted in the trail. Where
nobody answers, an expired answer is better than an error, if it may be told at all.

What is paid is held and settled by `Filler.fill`, attempt by attempt. The steps still to
come have their place: render before `understand`, gate at the start of `Filler.fill`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import (
    ExitStack,
    aclosing,
    contextmanager,
)
from typing import Any, NamedTuple, TypeAlias

from sidecar.cache.key import CacheKey, cache_key
from sidecar.cache.policy import Permission, Settings, permit
from sidecar.cashier import shared
from sidecar.domain import CacheControls, Call, Caller, ChatRequest, Chunk, Outcome
from sidecar.errors import (
    CacheMissError,
    Origin,
    SidecarError,
    UpstreamError,
    UpstreamTimeoutError,
)
from sidecar.fill import Filler, Landed
from sidecar.lookup import Lookup
from sidecar.memo import Memo
from sidecar.patience import due, hurried, patience_until
from sidecar.question import Question
from sidecar.reply import Reply
from sidecar.route.table import Route, RouteTable
from sidecar.singleflight import Flight, Flights
from sidecar.tasks import Tasks
from sidecar.trail import Trail

REMEMBERED = 512
"""How many requests that come again and again are understood only once."""
TOO_MANY = 429
USE_VARIANT = "use_variant"

NOWHERE = CacheKey(b"", b"", None)
"""Of a call that is neither read nor written: working its place out would be in vain."""


Place: TypeAlias = tuple[int, Caller, CacheControls, str | None]


class Understood(NamedTuple):
    """What follows from a request, its caller, the settings and the routes alone."""

    request: ChatRequest
    settings: Settings
    routes: RouteTable
    route: Route
    permission: Permission
    key: CacheKey


class Pipeline:
    """Answers calls. One per process, on one event loop.

    `routes` may be replaced at any time: calls from then on go by the new ones, those under
    way finish by the old.
    """

    def __init__(
        self,
        lookup: Lookup,
        filler: Filler,
        routes: RouteTable,
        settings_for: Callable[[Call], Settings],
        tasks: Tasks,
    ) -> None:
        self._lookup = lookup
        self._filler = filler
        self._routes = routes
        self._settings_for = settings_for
        self._flights: Flights[Chunk, Landed] = Flights(tasks)
        self._understood: Memo[Place, Understood] = Memo(REMEMBERED)

    @property
    def routes(self) -> RouteTable:
        """Who answers for which model name."""
        return self._routes

    @routes.setter
    def routes(self, routes: RouteTable) -> None:
        self._routes = routes
        # What is remembered would keep the old table, and the providers of its calls, alive.
        self._understood.clear()

    async def answer(self, call: Call, trail: Trail) -> Reply:
        """Reply from a verified entry, or ask a provider exactly once."""
        asked = self._understand(call, trail)
        hit = await self._look_up(asked)
        if hit is not None:
            return hit
        if call.controls.only_if_cached:
            raise CacheMissError("nothing is cached for this request, and only that was allowed")
        self._economise(asked)
        try:
            return await shared(trail, call.caller, lambda: self._fly(asked))
        except UpstreamError as error:
            stale = await self._lookup.stale(asked) if nobody_answered(error) else None
            if stale is None:
                raise
            return stale

    def _understand(self, call: Call, trail: Trail) -> Question:
        """Who would answer, what is allowed, and where the answer lives."""
        settings = self._settings_for(call)
        # By identity: equal bodies are read into one request (see `web.chat`). What is
        # remembered holds the request, so no other can come to have its id meanwhile.
        place = (id(call.request), call.caller, call.controls, call.route)
        known = self._understood.get(place)
        if known is None or known.settings != settings or known.routes is not self.routes:
            known = self._understood.put(place, self._work_out(call, settings))
        _, _, _, route, permission, key = known
        trail.understood(key.scope, key.exact, route.variant)
        return Question(call, trail, route, settings, permission, key)

    def _work_out(self, call: Call, settings: Settings) -> Understood:
        routes, permission = self.routes, permit(call, settings)
        route = routes.require(call.request.model, call.route)
        key = NOWHERE
        if not permission.bypass:
            key = cache_key(call, sharing=permission.sharing, variant=route.variant)
        return Understood(call.request, settings, routes, route, permission, key)

    async def _look_up(self, asked: Question) -> Reply | None:
        """A hit, where reading is allowed and shadow mode doesn't hold it back."""
        trail, permission = asked.trail, asked.permission
        if permission.read is not None:
            trail.refused("policy", permission.read)
            trail.outcome = Outcome.BYPASS if permission.bypass else Outcome.MISS
            return None
        hit = await self._lookup.find(asked)
        if hit is not None and permission.shadow:
            trail.shadowed()
            return None
        return hit

    def _economise(self, asked: Question) -> None:
        """Take the step that a budget wants by now: a cheaper route, or no provider at all."""
        trail, model = asked.trail, asked.call.request.model
        cheaper = self.routes.variants(model).get(self._filler.cashier.variant(asked.call, trail))
        if cheaper is not None and cheaper.variant != asked.route.variant:
            asked.cheaper, trail.variant = cheaper, cheaper.variant
            trail.degrade(USE_VARIANT, {"variant": cheaper.variant})

    async def _fly(self, asked: Question) -> Reply:
        """Take part in the one flight of this key; a call that may not share flies alone."""
        trail, call, key = asked.trail, asked.call, asked.flight_key
        boarded = self._flights.boarded(
            key, lambda flight: self._filler.fill(asked, flight), leader=call.id
        )
        with naming_attempts(trail), ExitStack() as aboard:
            flight = aboard.enter_context(boarded)
            aboard.callback(leaving, flight, trail)
            aboard.enter_context(trail.waiting())
            trail.attempts = flight.notes
            if flight.leader != call.id:
                trail.joined(flight.leader)
            try:
                reply = await self._take_off(asked, flight)
            except UpstreamTimeoutError:
                aboard.close()
                await flight.forsaken()  # what was under way for nobody else is named as well
                raise
            if reply.chunks is not None:
                reply.leave = aboard.pop_all().close
            return reply

    async def _take_off(self, asked: Question, flight: Flight[Chunk, Landed]) -> Reply:
        """The chunks as they come where a stream was asked for, else what lands."""
        trail, by = asked.trail, due(asked.call.timeout_s, asked.trail.elapsed_ms)
        async with patience_until(by):
            if asked.call.request.stream:
                await flight.departure()
                if flight.has_events:
                    return Reply(trail, chunks=self._live(trail, flight, by))
            return self._landed(trail, await flight.result())

    async def _live(
        self, trail: Trail, flight: Flight[Chunk, Landed], by: float | None
    ) -> AsyncGenerator[Chunk, None]:
        with naming_attempts(trail):
            async with aclosing(hurried(flight.events(), by)) as chunks:
                async for chunk in chunks:
                    yield chunk
            self._landed(trail, await flight.result())

    def _landed(self, trail: Trail, home: Landed) -> Reply:
        """What the flight brought, for one passenger."""
        if home.found is not None and trail is home.found.trail:
            return home.found
        trail.answered(home.model, home.provider, home.attempts, home.completion.usage)
        if trail.outcome is Outcome.COALESCED:
            trail.saved_cache = sum(attempt.cost_nanousd or 0 for attempt in home.attempts)
        trail.stored = home.stored
        trail.store_reason = home.refusal or ""
        return Reply(trail, home.completion)


def leaving(flight: Flight[Any, Any], trail: Trail) -> None:
    """One passenger goes; what the leader left behind is accounted for by one who stayed."""
    leads, accounts = flight.leader == trail.call.id, flight.leaves(trail.call.id)
    if leads is not accounts:
        trail.note("flight", "handed_over" if leads else "inherited")


def nobody_answered(error: UpstreamError) -> bool:
    """Whether it is no word on the request itself; a rate limit is none, though passed on."""
    return error.origin is Origin.PROVIDER or error.upstream_status == TOO_MANY


@contextmanager
def naming_attempts(trail: Trail) -> Iterator[None]:
    """What providers failed with stands in the trail of everyone who waited for them."""
    try:
        yield
    except SidecarError as error:
        if error.attempts:
            trail.attempts = list(error.attempts)
        else:  # the caller's own limit was over first: what was tried so far
            error.attempts = tuple(trail.attempts)
        raise

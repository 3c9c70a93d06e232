"""Asks a route's targets for what is wanted, and knows how all targets fare meanwhile.

Chats, embeddings and counts go the same way (`walk`), under the same breakers, budgets of
retries and caps on calls in flight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sidecar.clock import Clock
from sidecar.domain import Attempt, Call, Chunk, Completion, Json
from sidecar.errors import OverloadedError
from sidecar.events import Observers
from sidecar.route.errand import Errand
from sidecar.route.health import Health
from sidecar.route.table import Route, Target
from sidecar.route.walk import A, Given, Walk
from sidecar.route.wishes import NO_TILL, Chat, Provider, Till, Wish


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to a chat, and who gave it."""

    completion: Completion
    target: Target
    is_fallback: bool = False


class Dispatcher:
    """Acts on routes. One per process, on one event loop.

    `providers` are asked for routes that are not bound to clients of their own.
    """

    def __init__(
        self, providers: Mapping[str, Provider], clock: Clock, observers: Observers | None = None
    ) -> None:
        self.providers = providers
        self._clock = clock
        self._observers = observers or Observers()
        self._health = Health(self._observers.tell)
        self._in_flight: Counter[str] = Counter()

    @property
    def in_flight(self) -> Mapping[str, int]:
        """How many calls of each model name are with providers now."""
        return {name: calls for name, calls in self._in_flight.items() if calls}

    def states(self) -> Mapping[tuple[str, str], Mapping[str, Json]]:
        """The breaker of each target asked so far, by provider and model; others are closed.

        Each tells its `state` (closed, half_open, open), `failures` and `probe_in_s`.
        """
        return self._health.states(self._clock.tick())

    async def ask(
        self,
        call: Call,
        route: Route,
        *,
        emit: Callable[[Chunk], None],
        attempts: list[Attempt],
        till: Till = NO_TILL,
    ) -> Answered:
        """The answer to a chat; the chunks of a stream go to `emit` as they come, and its
        attempts are paid at `till`.
        """
        chat = Chat(call, route.timeouts, emit, self._clock, self._observers, till=till)
        return Answered(*await self.fetch(chat, call, route, attempts))

    async def fetch(
        self, wish: Wish[A], call: Call, route: Route, attempts: list[Attempt]
    ) -> Given[A]:
        """What is wanted, and who gave it; `attempts` grows as targets are tried.

        Raises `OverloadedError` where too many calls of the route's name are under way, else
        what `Errand.verdict` says.
        """
        if self._in_flight[route.name] >= route.max_in_flight:
            raise OverloadedError(
                f"{route.max_in_flight} calls of {route.name} are in flight, its max_in_flight",
                headers={"retry-after": "1"},
            )
        errand = Errand(call, route, attempts)
        self._in_flight[route.name] += 1
        try:
            providers = route.clients or self.providers
            return await Walk(errand, wish, providers, self._health, self._clock).to_an_answer()
        finally:
            self._in_flight[route.name] -= 1

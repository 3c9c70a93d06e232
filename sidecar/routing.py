"""The routes that are in force: those of the config under what operators toggled.

A route table never changes. A toggle or a new config makes another one, which everyone
who follows is given at once; calls in flight end on the routes that they began with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from sidecar.domain import Json
from sidecar.route.table import Route, RouteTable, Target
from sidecar.toggles import Toggles

CLOSED: Mapping[str, Json] = {"state": "closed"}
"""The breaker of a target that was never asked."""


class Traffic(Protocol):
    """What is known of targets and models while they are asked."""

    def states(self) -> Mapping[tuple[str, str], Mapping[str, Json]]:
        """The breakers by provider and model."""
        ...

    @property
    def in_flight(self) -> Mapping[str, int]:
        """The calls that are with providers now, by the model asked for."""
        ...


class LiveRoutes:
    """Makes the route table. `configured` is the table that config alone would make."""

    def __init__(self, configured: RouteTable, toggles: Toggles, traffic: Traffic) -> None:
        self._configured = configured
        self._toggles = toggles
        self._traffic = traffic
        self._followers: list[Callable[[RouteTable], None]] = []
        self._saving = asyncio.Lock()
        self.table = self._made()

    @property
    def toggled(self) -> Mapping[str, str]:
        """The variants that were chosen live, by model."""
        return self._toggles.choices

    def follow(self, take: Callable[[RouteTable], None]) -> None:
        """Give every new table to `take`, and the present one now."""
        self._followers.append(take)
        take(self.table)

    def configure(self, configured: RouteTable) -> None:
        """Another config: what is toggled goes on holding where that still offers it, and
        where its own choice is the one it was.
        """
        before, self._configured = self._configured, configured
        known = set(before.names)
        decided = [n for n in configured.names if n in known and _differ(n, before, configured)]
        self._toggles.offer(offered(configured), decided)
        self._publish()

    async def toggle(self, name: str, variant: str | None) -> Mapping[str, Json]:
        """Let a variant answer from the next request on; what holds now for those meant."""
        async with self._saving:
            meant = self._toggles.choose(name, variant)
            self._publish()
            saved = await asyncio.to_thread(self._toggles.save)
        return {"routes": self.view(meant), "saved": saved}

    def view(self, names: list[str] | None = None) -> Mapping[str, Json]:
        """Each model: who answers, who else could, how their breakers are."""
        states, in_flight = self._traffic.states(), self._traffic.in_flight
        return {
            name: {**self._told(name, states), "in_flight": in_flight.get(name, 0)}
            for name in (self.table.names if names is None else names)
        }

    def _told(
        self, name: str, states: Mapping[tuple[str, str], Mapping[str, Json]]
    ) -> dict[str, Json]:
        def told(target: Target, **more: Json) -> dict[str, Json]:
            breaker = states.get((target.provider, target.model), CLOSED)
            return {"provider": target.provider, "model": target.model, **more, "breaker": breaker}

        routes = self.table.variants(name)
        listed = {
            variant: [told(target, weight=target.weight) for target in route.targets]
            for variant, route in routes.items()
        }
        fallbacks = next(iter(routes.values())).fallbacks
        return {
            "active": self.table.active(name),
            "configured": self._configured.active(name),
            "overridden": name in self._toggles.choices,
            "variants": listed,
            "fallbacks": [told(target) for target in fallbacks],
        }

    def _made(self) -> RouteTable:
        names = self._configured.names
        active = {name: self._configured.active(name) for name in names}
        return RouteTable(offered(self._configured), {**active, **self._toggles.choices})

    def _publish(self) -> None:
        self.table = self._made()
        for take in self._followers:
            take(self.table)


def _differ(name: str, before: RouteTable, after: RouteTable) -> bool:
    return before.active(name) != after.active(name)


def offered(table: RouteTable) -> Mapping[str, Mapping[str, Route]]:
    """Each model's variants."""
    return {name: table.variants(name) for name in table.names}

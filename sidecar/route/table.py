"""Model names to targets. Pure: draws and keys among weighted targets are arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from sidecar.domain import NOTHING, Timeouts
from sidecar.errors import InvalidRequestError, ModelNotFoundError
from sidecar.route.policy import BreakerPolicy, FallbackOn, RetryPolicy

TARGETS = "targets"
"""The variant that is a model's own targets."""


@dataclass(frozen=True, slots=True)
class Target:
    """A provider's model that may answer.

    `edition` tells providers apart that had one name one after the other: what is known of
    how the earlier one fared says nothing of the later.
    """

    provider: str
    model: str
    weight: float = 100
    edition: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers for one model name. `variant` names the list of targets in use.

    `sticky` names the tag (session, user) whose value always gets the same target; without
    it, and for calls without that tag, chance decides. `clients` are what its providers are
    asked by, so that who holds a route can go it to its end whatever config becomes.
    """

    name: str
    targets: Sequence[Target]
    timeouts: Timeouts = field(default_factory=Timeouts)
    variant: str = TARGETS
    fallbacks: Sequence[Target] = ()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    fallback_on: frozenset[FallbackOn] = frozenset({FallbackOn.FAILURE})
    max_in_flight: int = 64
    sticky: str = ""
    clients: Mapping[str, Any] = field(default=NOTHING, repr=False, compare=False)

    def pick(self, draw: float) -> Target:
        """The target at `draw` (0 ≤ draw < 1) of the weights laid end to end."""
        left = draw * sum(target.weight for target in self.targets)
        for target in self.targets:
            left -= target.weight
            if left < 0:
                return target
        # Rounding can leave a crumb over; it must not go to a target of weight 0.
        return next((t for t in reversed(self.targets) if t.weight > 0), self.targets[-1])

    def order(self, draw: float) -> Iterator[Target]:
        """The target at `draw`, then the others that may be drawn, in the order of the config."""
        first = self.pick(draw)
        yield first
        yield from (target for target in self.targets if target.weight > 0 and target is not first)

    def draw_of(self, key: str) -> float:
        """The draw that always falls to this key: evenly spread, the same on every machine."""
        digest = sha256(f"{self.name}\0{key}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48

    def bound(self, clients: Mapping[str, Any], editions: Mapping[str, int]) -> Route:
        """The same route over these clients, by provider."""
        return replace(
            self,
            clients=clients,
            targets=tuple(replace(t, edition=editions[t.provider]) for t in self.targets),
            fallbacks=tuple(replace(t, edition=editions[t.provider]) for t in self.fallbacks),
        )


class RouteTable:
    """The configured models. Never changed; a new config or toggle makes another table.

    `routes` hold each model's variants by name, its own targets under `TARGETS`; `active`
    says which of them answers where a call names none.
    """

    def __init__(
        self, routes: Mapping[str, Mapping[str, Route]], active: Mapping[str, str] | None = None
    ) -> None:
        self._routes = {name: dict(variants) for name, variants in routes.items()}
        self._active = dict(active or {})

    @property
    def names(self) -> tuple[str, ...]:
        """What apps may ask for, in the order of the config."""
        return tuple(self._routes)

    def bound(self, clients: Mapping[str, Any], editions: Mapping[str, int]) -> RouteTable:
        """The same table over these clients, by provider."""
        routes = {
            name: {variant: route.bound(clients, editions) for variant, route in variants.items()}
            for name, variants in self._routes.items()
        }
        return RouteTable(routes, self._active)

    def active(self, model: str) -> str:
        """The variant that answers for a model."""
        return self._active.get(model, TARGETS)

    def variants(self, model: str) -> Mapping[str, Route]:
        """All routes of a model by variant; `ModelNotFoundError` naming the known models."""
        variants = self._routes.get(model)
        if variants is None:
            known = ", ".join(list(self._routes)[:10])
            raise ModelNotFoundError(
                f"the model {model[:80]!r} is not configured here; configured are: {known}",
                param="model",
            )
        return variants

    def require(self, model: str, variant: str | None = None) -> Route:
        """The route of a model name, in the variant asked for or the active one."""
        variants = self.variants(model)
        route = variants.get(variant or self.active(model))
        if route is None:
            known = ", ".join(variants)
            raise InvalidRequestError(
                f"x-sidecar-route must be a variant of {model}: {known}", param="x-sidecar-route"
            )
        return route

"""Model names to targets. Pure: the draw among weighted targets is an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.domain import Timeouts
from sidecar.errors import ModelNotFoundError


@dataclass(frozen=True, slots=True)
class Target:
    """A provider's model that may answer."""

    provider: str
    model: str
    weight: float = 100


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers for one model name. `variant` names the list of targets in use."""

    name: str
    targets: Sequence[Target]
    timeouts: Timeouts = field(default_factory=Timeouts)
    variant: str = "targets"

    def pick(self, draw: float) -> Target:
        """The target at `draw` (0 ≤ draw < 1) of the weights laid end to end."""
        left = draw * sum(target.weight for target in self.targets)
        for target in self.targets:
            left -= target.weight
            if left < 0:
                return target
        # Rounding can leave a crumb over; it must not go to a target of weight 0.
        return next((t for t in reversed(self.targets) if t.weight > 0), self.targets[-1])


class RouteTable:
    """The configured models."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = dict(routes)

    @property
    def names(self) -> tuple[str, ...]:
        """What apps may ask for, in the order of the config."""
        return tuple(self._routes)

    def require(self, model: str) -> Route:
        """The route of a model name; `ModelNotFoundError` naming the known ones."""
        route = self._routes.get(model)
        if route is None:
            known = ", ".join(list(self._routes)[:10])
            raise ModelNotFoundError(
                f"the model {model[:80]!r} is not configured here; configured are: {known}",
                param="model",
            )
        return route

"""What the stages have learnt about one call so far: the piece handed along the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sidecar.cache.key import CacheKey
from sidecar.cache.policy import Permission, Settings
from sidecar.domain import Call
from sidecar.route.table import Route
from sidecar.trail import Trail


@dataclass(slots=True)
class Question:
    """One call on its way.

    `vector` is unit length, set once the question was embedded; `embed_tried` tells that it
    was tried, so that a model that fails is asked once. `cheaper` is what a budget has put in
    the place of the call's own route, for asking providers; the cache knows the own one alone.
    """

    call: Call
    trail: Trail
    route: Route
    settings: Settings
    permission: Permission
    key: CacheKey
    cheaper: Route | None = None
    vector: NDArray[np.float32] | None = None
    embed_tried: bool = False

    @property
    def asked_route(self) -> Route:
        """Whose targets are asked."""
        return self.cheaper or self.route

    @property
    def flight_key(self) -> bytes | None:
        """Who may share this call's flight; None where nobody may."""
        if not self.permission.coalesces:
            return None
        # Whoever is not degraded must not get the cheaper answer by sharing a flight.
        return self.key.exact + (self.cheaper.variant.encode() if self.cheaper else b"")

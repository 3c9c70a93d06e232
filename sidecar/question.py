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
    was tried, so that a model that fails is asked once.
    """

    call: Call
    trail: Trail
    route: Route
    settings: Settings
    permission: Permission
    key: CacheKey
    vector: NDArray[np.float32] | None = None
    embed_tried: bool = False

    @property
    def flight_key(self) -> bytes | None:
        """Who may share this call's flight; None where nobody may."""
        return self.key.exact if self.permission.coalesces else None

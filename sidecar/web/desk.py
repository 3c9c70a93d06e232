"""What all doors of the data plane have in common, and what config says about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.admission import Admission, RateLimit
from sidecar.clock import Clock
from sidecar.events import Observers
from sidecar.idempotency.once import Once
from sidecar.identify import IdentityRules
from sidecar.pipeline import Pipeline
from sidecar.shedding import Shedding


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What config says about these doors. Another one takes its place when config changes."""

    disclose: bool
    tag_defaults: Mapping[str, str]
    identity: IdentityRules = field(default_factory=IdentityRules)
    rate_limits: tuple[RateLimit, ...] = ()


@dataclass(slots=True)
class Desk:
    """One for all doors. Without `once` an `Idempotency-Key` says nothing.

    `in_flight` are the requests that are worked on. One whose client left is among them for
    as long as its answer is made all the same, so that the end of the process waits for it.
    """

    pipeline: Pipeline
    clock: Clock
    observers: Observers
    settings: ChatSettings
    in_flight: int = 0
    admission: Admission = field(init=False)
    shedding: Shedding = field(default_factory=Shedding)
    once: Once | None = None

    def __post_init__(self) -> None:
        self.admission = Admission(self.clock)

    def departed(self) -> None:
        """All is done for a request."""
        self.in_flight -= 1

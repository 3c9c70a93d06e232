"""What an operator can see and do, over the parts of one running sidecar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sidecar import __version__
from sidecar.cache.entry import Selector
from sidecar.cache.policy import Mode
from sidecar.cache.tiers import Cache
from sidecar.clock import Clock
from sidecar.domain import Json
from sidecar.observe.metrics import Metrics
from sidecar.switch import Switch
from sidecar.usage.ledger import RequestLedger
from sidecar.web.drain import Drain


@dataclass(slots=True)
class Operations:
    """The admin plane's view. `about` is what doesn't change while the process lives."""

    cache: Cache
    ledger: RequestLedger
    metrics_sink: Metrics
    switch: Switch
    drain: Drain
    clock: Clock
    about: Mapping[str, Json]
    began_at: float = 0.0
    running: bool = False

    def started(self) -> bool:
        """Whether start-up is over."""
        return self.running

    def ready(self) -> bool:
        """Whether requests can be answered and the end isn't announced."""
        return self.running and not self.drain.active

    def metrics(self) -> bytes:
        """Prometheus' text format."""
        return self.metrics_sink.text()

    def status(self) -> Mapping[str, Json]:
        """The state of the whole process."""
        return {
            "version": __version__,
            "uptime_s": round(self.clock.now() - self.began_at, 1),
            "ready": self.ready(),
            "draining": self.drain.active,
            "mode": self.switch.mode.value,
            "cache": asdict(self.cache.stats()),
            "ledger": {"dropped": self.ledger.dropped, "failing": self.ledger.failing},
            **self.about,
        }

    async def request_row(self, request_id: str) -> Mapping[str, Json] | None:
        """Every decision taken for one request."""
        return await self.ledger.find(request_id)

    async def purge(self, field: str, value: str, *, dry_run: bool) -> int:
        """Forget entries in every tier; how many matched."""
        return await self.cache.purge(Selector(field, value), dry_run=dry_run)

    def set_mode(self, mode: str) -> None:
        """The kill switch."""
        self.switch.set_mode(Mode(mode))

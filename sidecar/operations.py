"""What an operator can see and do, over the parts of one running sidecar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from sidecar import __version__
from sidecar.budget.prices import PriceTable
from sidecar.cache.embeddings import EmbeddingCache
from sidecar.cache.entry import Selector
from sidecar.cache.policy import Mode
from sidecar.cache.tiers import Cache
from sidecar.cashier import Cashier
from sidecar.clock import Clock
from sidecar.config import Config
from sidecar.domain import Json
from sidecar.finance import Finance
from sidecar.idempotency.store import AnswerStore
from sidecar.observe.metrics import Metrics
from sidecar.price_notes import price_notes, unpriced
from sidecar.reload import Reloader
from sidecar.routing import LiveRoutes
from sidecar.switch import Switch
from sidecar.usage.ledger import RequestLedger
from sidecar.web.drain import Drain


@dataclass(slots=True)
class Operations:
    """The admin plane's view. `about` is what doesn't change while the process lives, `work`
    tells what is under way.
    """

    cache: Cache
    embeddings: EmbeddingCache
    answers: AnswerStore
    ledger: RequestLedger
    metrics_sink: Metrics
    switch: Switch
    drain: Drain
    live_routes: LiveRoutes
    reloader: Reloader
    clock: Clock
    finance: Finance
    cashier: Cashier
    work: Callable[[], Mapping[str, Json]]
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
        config = self.reloader.config
        return {
            "version": __version__,
            "uptime_s": round(self.clock.now() - self.began_at, 1),
            "ready": self.ready(),
            "draining": self.drain.active,
            "mode": self.switch.mode.value,
            "work": self.work(),
            "cache": asdict(self.cache.stats()),
            "ledger": {"dropped": self.ledger.dropped, "failing": self.ledger.failing},
            "config": self.reloader.state(),
            "toggled": self.live_routes.toggled,
            "prices": priced(config, self.cashier.prices),
            **answerers(config),
            **self.about,
        }

    async def request_row(self, request_id: str) -> Mapping[str, Json] | None:
        """Every decision taken for one request."""
        return await self.ledger.find(request_id)

    async def purge(self, field: str, value: str, *, dry_run: bool) -> int:
        """Forget answers wherever they are kept; how many matched."""
        selector = Selector(field, value)
        count = await self.cache.purge(selector, dry_run=dry_run)
        count += await self.embeddings.forget(selector, dry_run=dry_run)
        return count + await self.answers.forget(field, value, dry_run=dry_run)

    def set_mode(self, mode: str) -> None:
        """The kill switch."""
        self.switch.set_mode(Mode(mode))

    def routes(self) -> Mapping[str, Json]:
        """Each model: who answers, who else could, how their breakers are."""
        return self.live_routes.view()

    async def toggle(self, name: str, variant: str | None) -> Mapping[str, Json]:
        """Let a variant answer for a model, or for all that have it."""
        return await self.live_routes.toggle(name, variant)

    async def reload(self) -> Mapping[str, Json]:
        """Read the config again and put it in force."""
        done = await self.reloader.reload("an operator asked")
        return {**asdict(done), **self.reloader.state()}


def priced(config: Config, prices: PriceTable) -> Mapping[str, Json]:
    """How old the shipped prices are, who has none, and what follows from that."""
    return {
        "date": prices.date,
        "unpriced": [f"{provider}/{model}" for provider, model in unpriced(config, prices)],
        "notes": list(price_notes(config, prices)),
    }


def answerers(config: Config) -> Mapping[str, Json]:
    """What config says about models and providers, and what of it is not in force."""
    return {
        "models": {
            name: [f"{target.provider}/{target.model}" for target in model.targets]
            for name, model in config.models.items()
        },
        "providers": {name: item.kind for name, item in config.providers.items()},
        "not_in_force": list(config.notes),
    }

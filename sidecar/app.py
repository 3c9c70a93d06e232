"""The composition root: the one place that knows every room and puts them together.

`Sidecar` makes the parts from a config and starts nothing; `start` opens the cache and
the providers; `close` ends what was started, in the opposite order. What can't work is a
`ConfigError` of one line, before a socket is served. `take` puts another config in force
while requests are answered.
"""

from __future__ import annotations

from asyncio import all_tasks
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack

from aiohttp import web

from sidecar import wiring, wiring_money
from sidecar.budget.local import LocalBudgets
from sidecar.cache.embeddings import EmbeddingCache
from sidecar.cache.tiers import Cache
from sidecar.cashier import Cashier
from sidecar.clock import SystemClock
from sidecar.config import Config
from sidecar.counting import Counting
from sidecar.domain import Json
from sidecar.embed import EmbeddingQueue, open_embedder
from sidecar.embedding_fill import EmbeddingFiller
from sidecar.embeddings import Embeddings
from sidecar.events import Observers
from sidecar.fill import Filler
from sidecar.finance import Finance
from sidecar.idempotency.once import Once
from sidecar.idempotency.store import AnswerStore
from sidecar.identify import require_client
from sidecar.lookup import Lookup
from sidecar.observe.lag import LoopLag
from sidecar.observe.memory import MemoryShare, limit_bytes
from sidecar.observe.metrics import Metrics
from sidecar.operations import Operations
from sidecar.pipeline import Pipeline
from sidecar.providing import Providers
from sidecar.reload import ConfigSource, Reloader
from sidecar.route.dispatch import Dispatcher
from sidecar.route.table import RouteTable
from sidecar.routing import LiveRoutes, offered
from sidecar.shedding import Shedding
from sidecar.state import JOURNAL, REQUESTS, StateDir
from sidecar.switch import Switch
from sidecar.tasks import Tasks
from sidecar.toggles import ToggleFile, Toggles
from sidecar.usage.ledger import RequestLedger
from sidecar.verify.fixed import FixedVerifier
from sidecar.web.admin import admin_plane
from sidecar.web.chat import ChatEndpoint, Desk
from sidecar.web.count_tokens import CountTokensEndpoint
from sidecar.web.data_plane import Door, data_plane
from sidecar.web.drain import Drain
from sidecar.web.embeddings import EmbeddingsEndpoint
from sidecar.wire.anthropic_format import AnthropicFormat
from sidecar.wire.format import Format
from sidecar.wire.openai_format import OpenAIFormat
from sidecar.wire.responses_format import ResponsesFormat

CHATS: dict[str, Format] = {
    "/v1/chat/completions": OpenAIFormat(),
    "/v1/messages": AnthropicFormat(),
    "/v1/responses": ResponsesFormat(),
}


class Sidecar:
    """One sidecar: two web applications over the same parts. Use on one event loop.

    `source` is where the config came from, for whoever wants it read again.
    """

    def __init__(self, config: Config, state: StateDir, source: ConfigSource | None = None) -> None:
        self.clock = SystemClock()
        self.tasks = Tasks()
        self.reloader = Reloader(config, source, self.take, self.clock)
        self.followers: list[Callable[[Config], None]] = []
        """Told of every config that is put in force after the first."""
        self._resources = AsyncExitStack()
        self._providers = Providers(self.clock)
        # Loaded here: it blocks for a moment, and a corrupt weight must be told at once.
        self.embedder = open_embedder(
            config.embedding.model,
            backend=config.embedding.backend,
            threads=config.embedding.threads,
        )
        self.metrics = Metrics(config.models, wiring.targets(config))
        self.ledger = RequestLedger(
            state.path / REQUESTS,
            self.clock,
            retention_s=config.usage.retention_s,
            max_rows=config.usage.max_rows,
        )
        self.observers = Observers(self.metrics.observe, self.ledger.observe)
        self.cache = Cache(
            path=state.path / "cache.sqlite",
            embedding_model=self.embedder.model_id,
            dimension=self.embedder.dimension,
            caps=wiring.cache_caps(config.cache),
            clock=self.clock,
            tasks=self.tasks,
            observers=self.observers,
            keep_stale_s=wiring.keep_stale_s(config.cache),
        )
        self.switch = Switch(*wiring.switch_settings(config.cache))
        self.drain = Drain(self.clock, config.listen.drain_s)
        self.queue = EmbeddingQueue(
            self.embedder, timeout_s=config.embedding.timeout_ms / 1e3, clock=self.clock
        )
        self.budgets = LocalBudgets(state.path / JOURNAL, self.clock)
        self.budgets.configure(wiring_money.budgets(config.budgets))
        self.cashier = Cashier(
            self.budgets, wiring_money.price_table(config), wiring_money.cashier_settings(config)
        )
        self.dispatcher = Dispatcher(self._providers.clients, self.clock, self.observers)
        self.routes = self._live_routes(config, state)
        self.answers = AnswerStore(state.path / "idempotency.sqlite", self.clock)
        self.embedding_cache = EmbeddingCache(state.path / "embeddings.sqlite", self.clock)
        self.operations = Operations(
            self.cache, self.embedding_cache, self.answers, self.ledger, self.metrics,
            self.switch, self.drain, self.routes, self.reloader, self.clock,
            finance=Finance(
                self.budgets, state.path / REQUESTS, state.path / JOURNAL, self.clock
            ),
            cashier=self.cashier, work=self._work, about=self._about(state),
        )  # fmt: skip
        self.pipeline = self._pipeline(config)
        self.embeddings = self._embeddings(config)
        self.counting = Counting(self.dispatcher, self.routes.table)
        self.routes.follow(self._use_routes)
        self.lag = LoopLag(self.clock)
        self.desk = self._desk(config)
        self._model_names = list(config.models)  # the data plane's list, changed by `take`
        door = wiring.data_plane_settings(config, self._model_names)
        self.data_app = data_plane(door, self._doors(), self.drain, self._check_client)
        self.admin_app = admin_plane(wiring.admin_settings(config), self.operations)
        self._add_gauges()

    def _live_routes(self, config: Config, state: StateDir) -> LiveRoutes:
        table = wiring.route_table(config.models)
        toggles = Toggles(ToggleFile(state.path / "toggles.json"), offered(table))
        return LiveRoutes(table, toggles, self.dispatcher)

    def _pipeline(self, config: Config) -> Pipeline:
        lookup = Lookup(self.cache, self.queue, FixedVerifier(), self.clock, self.cashier.worth)
        self.filler = Filler(
            lookup, self.dispatcher, self.cache, self.clock, self.cashier,
            store_fallback=config.cache.store_fallback,
        )  # fmt: skip
        table, settings_for = self.routes.table, self.switch.settings_for
        return Pipeline(lookup, self.filler, table, settings_for, self.tasks)

    def _desk(self, config: Config) -> Desk:
        memory = MemoryShare(self.clock, limit_bytes())
        return Desk(
            self.pipeline, self.clock, self.observers, wiring.chat_settings(config),
            shedding=Shedding(lambda: self.lag.sustained_s, memory),
            once=Once(self.answers, self.tasks),
        )  # fmt: skip

    def _embeddings(self, config: Config) -> Embeddings:
        self.embedding_filler = EmbeddingFiller(
            self.dispatcher, self.embedding_cache, self.clock, self.cashier,
            store_fallback=config.cache.store_fallback,
        )  # fmt: skip
        return Embeddings(
            self.embedding_filler, self.routes.table, self.embedding_cache,
            self.switch.settings_for, self.clock, tasks=self.tasks,
        )  # fmt: skip

    def _doors(self) -> dict[str, Door]:
        """What the data plane answers, by path."""
        chats = {path: ChatEndpoint(format_, self.desk) for path, format_ in CHATS.items()}
        return {
            **chats,
            "/v1/messages/count_tokens": CountTokensEndpoint(self.desk, self.counting),
            "/v1/embeddings": EmbeddingsEndpoint(self.desk, self.embeddings),
        }

    def _check_client(self, headers: Mapping[str, str]) -> None:
        require_client(headers, self.desk.settings.identity)

    async def start(self) -> None:
        """Open the cache (the exact tier is complete when this returns) and the providers."""
        self._resources.callback(self.queue.close)
        self.budgets.open()
        self._resources.push_async_callback(self.budgets.close)
        self._resources.push_async_callback(self.answers.close)
        self._resources.push_async_callback(self.tasks.close)
        self.ledger.open()
        self._resources.push_async_callback(self.ledger.close)
        await self.cache.open()
        self._resources.push_async_callback(self.cache.close)
        await self.embedding_cache.open()
        self._resources.push_async_callback(self.embedding_cache.close)
        self._resources.push_async_callback(self._providers.close)
        configured = self.reloader.config.providers
        self._providers.adopt(configured, await self._providers.prepare(configured))
        table = wiring.route_table(self.reloader.config.models)
        self.routes.configure(self._providers.bound(table))
        self.tasks.start(self.lag.run(), name="loop-lag")
        self.tasks.start(self.answers.expire(), name="answers-expiry")
        self.tasks.start(self.reloader.watch(), name="config-watch")
        self.operations.began_at = self.clock.now()
        self.operations.running = True

    async def close(self) -> None:
        """End everything; what is queued for disk is written first."""
        self.operations.running = False
        await self._resources.aclose()

    async def take(self, config: Config) -> None:
        """Put another config in force. `ConfigError` where it can't be; then nothing changed.

        All that may fail or wait comes first; then everything is swapped in one turn of the
        event loop, so that no request sees half of it.
        """
        made = await self._providers.prepare(config.providers)
        table, chat = wiring.route_table(config.models), wiring.chat_settings(config)
        cache = wiring.switch_settings(config.cache)
        self._providers.adopt(config.providers, made)
        self.routes.configure(self._providers.bound(table))
        self.switch.configure(*cache)
        self.cache.expiry.keep_stale_s = wiring.keep_stale_s(config.cache)
        self.filler.store_fallback = config.cache.store_fallback
        self.embedding_filler.store_fallback = config.cache.store_fallback
        self.budgets.configure(wiring_money.budgets(config.budgets))
        self.cashier.prices = wiring_money.price_table(config)
        self.cashier.settings = wiring_money.cashier_settings(config)
        self.metrics.configured(config.models, wiring.targets(config))
        self.desk.settings = chat
        self._model_names[:] = config.models
        for follow in self.followers:
            follow(config)

    def _use_routes(self, table: RouteTable) -> None:
        self.pipeline.routes = self.embeddings.routes = self.counting.routes = table

    def _work(self) -> dict[str, Json]:
        """What is under way. With nobody asking, each of them comes back to where it was."""
        calls = sum(self.dispatcher.in_flight.values())
        return {"requests": self.desk.in_flight, "calls": calls, "tasks": len(all_tasks())}

    def _about(self, state: StateDir) -> dict[str, object]:
        return {
            "embedding": {
                "model": self.embedder.model_id,
                "dimension": self.embedder.dimension,
                "max_tokens": self.embedder.max_tokens,
            },
            "state_dir": str(state.path.absolute()),
        }

    def _add_gauges(self) -> None:
        gauge, cache = self.metrics.gauge, self.cache
        gauge("sidecar_event_loop_lag_seconds", "How late the loop is", lambda: self.lag.seconds)
        gauge("sidecar_in_flight", "Requests being answered", lambda: self.desk.in_flight)
        gauge("sidecar_threshold", "Least confidence of a hit", lambda: FixedVerifier().threshold)
        gauge("sidecar_cache_entries", "Entries kept", lambda: cache.stats().entries)
        self.metrics.gauges(
            "sidecar_budget_remaining_ratio", "Part of a budget that may still be spent",
            "budget", self.budgets.remaining,
        )  # fmt: skip
        gauge("sidecar_cache_bytes", "Memory of the entries", lambda: cache.stats().memory_bytes)


ADMIN_APP = web.AppKey("admin_app", web.Application)
SIDECAR = web.AppKey("sidecar", Sidecar)


def create_app(config: Config) -> web.Application:
    """The data plane as an aiohttp application, to be served by your own runner.

    Its parts are opened when it starts and closed when it is cleaned up. The admin plane
    is `app[ADMIN_APP]`, served as you like. Raises `ConfigError` of one line where
    `state_dir` is in use or not writable, or a weight is corrupt.
    """
    state = StateDir(config.state_dir)
    state.acquire()
    sidecar = Sidecar(config, state)
    app = sidecar.data_app
    app[ADMIN_APP], app[SIDECAR] = sidecar.admin_app, sidecar

    async def running(_: web.Application) -> AsyncIterator[None]:
        await sidecar.start()
        yield
        await sidecar.close()
        state.release()

    app.cleanup_ctx.append(running)
    return app

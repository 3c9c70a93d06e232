"""The composition root: the one place that knows every room and puts them together.

`Sidecar` makes the parts from a config and starts nothing; `start` opens the cache and
the providers; `close` ends what was started, in the opposite order. What can't work is a
`ConfigError` of one line, before a socket is served.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiohttp import web

from sidecar import wiring
from sidecar.cache.tiers import Cache
from sidecar.clock import SystemClock
from sidecar.config import Config
from sidecar.config.routes import OpenAIProvider as OpenAIConfig
from sidecar.config.routes import SimulatedProvider as SimulatedConfig
from sidecar.embed import EmbeddingQueue, open_embedder
from sidecar.errors import ConfigError
from sidecar.events import Observers
from sidecar.fill import Filler
from sidecar.lookup import Lookup
from sidecar.observe.lag import LoopLag
from sidecar.observe.metrics import Metrics
from sidecar.operations import Operations
from sidecar.pipeline import Pipeline
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.simulated.server import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.dispatch import Dispatcher, Provider
from sidecar.state import StateDir
from sidecar.switch import Switch
from sidecar.tasks import Tasks
from sidecar.usage.ledger import RequestLedger
from sidecar.verify.fixed import FixedVerifier
from sidecar.web.admin import admin_plane
from sidecar.web.chat import ChatEndpoint, Desk
from sidecar.web.data_plane import data_plane
from sidecar.web.drain import Drain
from sidecar.wire.format import Format
from sidecar.wire.openai_format import OpenAIFormat

CHATS: dict[str, Format] = {"/v1/chat/completions": OpenAIFormat()}


class Sidecar:
    """One sidecar: two web applications over the same parts. Use on one event loop."""

    def __init__(self, config: Config, state: StateDir) -> None:
        self.config = config
        self.clock = SystemClock()
        self.tasks = Tasks()
        self._resources = AsyncExitStack()
        self._providers: dict[str, Provider] = {}
        # Loaded here: it blocks for a moment, and a corrupt weight must be told at once.
        self.embedder = open_embedder(
            config.embedding.model,
            backend=config.embedding.backend,
            threads=config.embedding.threads,
        )
        self.metrics = Metrics(config.models)
        self.ledger = RequestLedger(
            state.path / "requests.sqlite",
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
        )
        rules = [wiring.cache_rule(rule) for rule in config.cache.rules]
        self.switch = Switch(wiring.cache_settings(config.cache), rules)
        self.drain = Drain(self.clock, config.listen.drain_s)
        self.operations = Operations(
            self.cache, self.ledger, self.metrics, self.switch, self.drain, self.clock,
            about=self._about(state),
        )  # fmt: skip
        self.queue = EmbeddingQueue(
            self.embedder, timeout_s=config.embedding.timeout_ms / 1e3, clock=self.clock
        )
        self.desk = Desk(self._pipeline(), self.clock, self.observers, wiring.chat_settings(config))
        chats = {path: ChatEndpoint(format_, self.desk) for path, format_ in CHATS.items()}
        self.data_app = data_plane(wiring.data_plane_settings(config), chats, self.drain)
        self.admin_app = admin_plane(wiring.admin_settings(config), self.operations)
        self._add_gauges()

    def _pipeline(self) -> Pipeline:
        lookup = Lookup(self.cache, self.queue, FixedVerifier(), self.clock)
        dispatcher = Dispatcher(self._providers, self.clock)
        filler = Filler(lookup, dispatcher, self.cache, self.clock)
        routes = wiring.route_table(self.config.models)
        return Pipeline(lookup, filler, routes, self.switch.settings_for, self.tasks)

    async def start(self) -> None:
        """Open the cache (the exact tier is complete when this returns) and the providers."""
        self._resources.callback(self.queue.close)
        self._resources.push_async_callback(self.tasks.close)
        self.ledger.open()
        self._resources.push_async_callback(self.ledger.close)
        await self.cache.open()
        self._resources.push_async_callback(self.cache.close)
        await self._open_providers()
        lag = LoopLag(self.clock)
        self.tasks.start(lag.run(), name="loop-lag")
        self.metrics.gauge(
            "sidecar_event_loop_lag_seconds", "How late the loop is", lambda: lag.seconds
        )
        self.operations.began_at = self.clock.now()
        self.operations.running = True

    async def close(self) -> None:
        """End everything; what is queued for disk is written first."""
        self.operations.running = False
        await self._resources.aclose()

    async def _open_providers(self) -> None:
        outside, inside = Transport(), Transport(use_environment=False)
        self._resources.push_async_callback(outside.close)
        self._resources.push_async_callback(inside.close)
        for name, provider in self.config.providers.items():
            match provider:
                case OpenAIConfig():
                    key = provider.api_key.get_secret_value() if provider.api_key else None
                    client = OpenAIProvider(name, provider.base_url, key, outside)
                case SimulatedConfig():
                    url = await self._simulate(provider)
                    client = OpenAIProvider(name, url, None, inside)
                case _:
                    raise ConfigError(f"providers.{name}.kind is not available in this version")
            self._providers[name] = client

    async def _simulate(self, config: SimulatedConfig) -> str:
        """Start the simulated provider on a port of its own; its base URL."""
        server = SimulatedServer(latency_ms=config.latency_ms, tokens_per_s=config.tokens_per_s)
        await server.start()
        self._resources.push_async_callback(server.close)
        return server.base_url

    def _about(self, state: StateDir) -> dict[str, object]:
        return {
            "embedding": {
                "model": self.embedder.model_id,
                "dimension": self.embedder.dimension,
                "max_tokens": self.embedder.max_tokens,
            },
            "models": {
                name: [f"{target.provider}/{target.model}" for target in model.targets]
                for name, model in self.config.models.items()
            },
            "providers": {name: item.kind for name, item in self.config.providers.items()},
            "state_dir": str(state.path.absolute()),
            "not_in_force": list(self.config.notes),
        }

    def _add_gauges(self) -> None:
        gauge, cache = self.metrics.gauge, self.cache
        gauge("sidecar_in_flight", "Requests being answered", lambda: self.desk.in_flight)
        gauge("sidecar_threshold", "Least confidence of a hit", lambda: FixedVerifier().threshold)
        gauge("sidecar_cache_entries", "Entries kept", lambda: cache.stats().entries)
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

"""The configured providers as they are asked: one object a name.

A new config makes objects for what is new or changed and leaves the rest alone, with its
connections. A route table is bound to the objects of its config, so that a call ends with
those that it began with. When no route is bound to an object any more, its simulated server
gives its port back; connections that nobody uses are closed after a minute.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TypeAlias

from sidecar.clock import Clock
from sidecar.config.routes import FROM_CLIENT
from sidecar.config.routes import AnthropicProvider as AnthropicConfig
from sidecar.config.routes import AzureProvider as AzureConfig
from sidecar.config.routes import OpenAIProvider as OpenAIConfig
from sidecar.config.routes import Provider as Config
from sidecar.config.routes import SimulatedProvider as SimulatedConfig
from sidecar.errors import ConfigError
from sidecar.providers.anthropic import AnthropicProvider
from sidecar.providers.embeddings import AzureEmbeddings, OpenAIEmbeddings, SimulatedProvider
from sidecar.providers.keys import KeyFile
from sidecar.providers.simulated.server import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.table import RouteTable
from sidecar.tasks import Tasks

Client: TypeAlias = OpenAIEmbeddings | AnthropicProvider | AzureEmbeddings | SimulatedProvider
Keyed: TypeAlias = OpenAIConfig | AnthropicConfig | AzureConfig


class Bound(dict[str, Client]):
    """Who is asked on the routes of one config, by name; never changed. Can be watched."""

    __slots__ = ("__weakref__",)


class Providers:
    """Use on one event loop; `close` ends connections and simulated servers.

    `clients` has the newest of each name, and those whose name config has no longer while a
    route is bound to them.
    """

    def __init__(self, clock: Clock) -> None:
        self.clients: weakref.WeakValueDictionary[str, Client] = weakref.WeakValueDictionary()
        self._present = Bound()
        self._bound: weakref.WeakValueDictionary[int, Bound] = weakref.WeakValueDictionary()
        self._made: dict[str, Client] = {}
        self._editions: dict[str, int] = {}
        self._edition = count(1)
        self._configs: dict[str, Config] = {}
        self._clock = clock
        self._outside, self._inside = Transport(), Transport(use_environment=False)
        self._servers: dict[SimulatedServer, Client] = {}
        self._tasks = Tasks()

    async def prepare(self, configs: Mapping[str, Config]) -> dict[str, Client]:
        """What is new or changed, ready to be asked; nothing is adopted yet.

        `ConfigError` names the provider that can't be.
        """
        self._made = {}
        for name, config in configs.items():
            if self._configs.get(name) != config:
                try:
                    self._made[name] = await self._new(name, config)
                except ConfigError as error:
                    self._made = {}
                    self._end_unused()
                    raise ConfigError(f"providers.{name}: {error.message}") from error
        return self._made

    def adopt(self, configs: Mapping[str, Config], made: Mapping[str, Client]) -> None:
        """Take what was prepared for these configs."""
        self._configs = dict(configs)
        edition = next(self._edition)
        editions = {**self._editions, **dict.fromkeys(made, edition)}
        present = {**self._present, **made}
        self._editions = {name: editions[name] for name in configs}
        self._present = self._bound[edition] = Bound((name, present[name]) for name in configs)
        self._made = {}
        self.clients.update(made)
        self._watch(self._present)

    def bound(self, table: RouteTable) -> RouteTable:
        """The table, whose calls are made by the clients that were adopted last."""
        return table.bound(self._present, self._editions)

    async def close(self) -> None:
        """End every connection and every simulated server."""
        for server in tuple(self._servers):
            await self._end(server)
        await self._tasks.close()
        await self._inside.close()
        await self._outside.close()

    async def _new(self, name: str, config: Config) -> Client:
        if isinstance(config, SimulatedConfig):
            return await self._simulated(name, config)
        key, asked = self._key(config), is_asked_with_client_key(config)
        match config:
            case OpenAIConfig():
                return OpenAIEmbeddings(
                    name, config.base_url, key, self._outside, from_client=asked
                )
            case AnthropicConfig():
                return AnthropicProvider(
                    name, config.base_url, key, self._outside, from_client=asked
                )
            case AzureConfig():
                return AzureEmbeddings(
                    name, config.base_url, key, self._outside,
                    from_client=asked, api_version=config.api_version,
                )  # fmt: skip

    def _key(self, config: Keyed) -> str | KeyFile | None:
        if config.api_key_file is not None:
            return KeyFile(Path(config.api_key_file).expanduser(), self._clock)
        if config.api_key is None or is_asked_with_client_key(config):
            return None
        return config.api_key.get_secret_value()

    async def _simulated(self, name: str, config: SimulatedConfig) -> SimulatedProvider:
        """A simulated provider on a port of its own, which it keeps while it can be asked."""
        server = SimulatedServer(latency_ms=config.latency_ms, tokens_per_s=config.tokens_per_s)
        try:
            await server.start()
        except (OSError, IndexError):  # a socket that can't be made is passed over by asyncio
            raise ConfigError("no port for the simulated provider") from None
        client = SimulatedProvider(name, server.base_url.removesuffix("/v1"), self._inside)
        self._servers[server] = client
        return client

    def _watch(self, bound: Bound) -> None:
        """Look for servers that nobody can ask when no route is bound to these any more."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            with suppress(RuntimeError):  # the loop is closed, and with it all servers
                loop.call_soon_threadsafe(self._end_unused)

        # What is collected is told of on any thread, and at the process's end is nobody's.
        weakref.finalize(bound, gone).atexit = False

    def _end_unused(self) -> None:
        bound = [client for each in self._bound.values() for client in each.values()]
        used = {id(client) for client in (*bound, *self._made.values())}
        for server, client in self._servers.items():
            if id(client) not in used:
                self._tasks.start(self._end(server), name="simulated-end")

    async def _end(self, server: SimulatedServer) -> None:
        if self._servers.pop(server, None):
            await server.close()


def is_asked_with_client_key(config: Config) -> bool:
    """Whether a provider is asked with the caller's own key."""
    if isinstance(config, SimulatedConfig) or config.api_key is None:
        return False
    return config.api_key.get_secret_value() == FROM_CLIENT

"""The configured providers as they are asked: one object a name.

A new config makes objects for what is new or changed and leaves the rest alone, with its
connections. Whoever holds an old object goes on with it, so a name that config has no
longer stays here: a call in flight may still fall back on it. A simulated provider
that was replaced keeps its port until the process ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
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

Client: TypeAlias = OpenAIEmbeddings | AnthropicProvider | AzureEmbeddings | SimulatedProvider
Keyed: TypeAlias = OpenAIConfig | AnthropicConfig | AzureConfig


class Providers:
    """Use on one event loop; `close` ends connections and simulated servers."""

    def __init__(self, clock: Clock) -> None:
        self.clients: dict[str, Client] = {}
        self._configs: dict[str, Config] = {}
        self._clock = clock
        self._outside, self._inside = Transport(), Transport(use_environment=False)
        self._resources = AsyncExitStack()

    async def prepare(self, configs: Mapping[str, Config]) -> dict[str, Client]:
        """What is new or changed, ready to be asked; nothing is adopted yet.

        `ConfigError` names the provider that can't be.
        """
        made = {}
        for name, config in configs.items():
            if self._configs.get(name) != config:
                try:
                    made[name] = await self._made(name, config)
                except ConfigError as error:
                    raise ConfigError(f"providers.{name}: {error.message}") from error
        return made

    def adopt(self, configs: Mapping[str, Config], made: Mapping[str, Client]) -> None:
        """Take what was prepared for these configs."""
        self._configs = dict(configs)
        self.clients.update(made)

    async def close(self) -> None:
        """End every connection and every simulated server."""
        await self._resources.aclose()
        await self._inside.close()
        await self._outside.close()

    async def _made(self, name: str, config: Config) -> Client:
        if isinstance(config, SimulatedConfig):
            return SimulatedProvider(name, await self._simulate(config), self._inside)
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

    async def _simulate(self, config: SimulatedConfig) -> str:
        """Start the simulated provider on a port of its own; its URL without /v1."""
        server = SimulatedServer(latency_ms=config.latency_ms, tokens_per_s=config.tokens_per_s)
        await server.start()
        self._resources.push_async_callback(server.close)
        return server.base_url.removesuffix("/v1")


def is_asked_with_client_key(config: Config) -> bool:
    """Whether a provider is asked with the caller's own key."""
    if isinstance(config, SimulatedConfig) or config.api_key is None:
        return False
    return config.api_key.get_secret_value() == FROM_CLIENT

"""Whether the keys that a config names are there and can be sent: looked at before a start.

The config itself is parsed without a look at other files; this opens the key files, so
that `sidecar check`, a start and a reload tell a slip alike: the file, the line, the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from sidecar.config import Config, load
from sidecar.config.problem import Problem
from sidecar.config.routes import (
    AnthropicProvider,
    AzureProvider,
    OpenAIProvider,
    Provider,
    SimulatedProvider,
)
from sidecar.config.tree import read, refuse
from sidecar.errors import ConfigError
from sidecar.providers.credentials import check_key
from sidecar.providers.keys import read_key


def load_with_keys(
    path: str | None, environ: Mapping[str, str], running: Config | None = None
) -> Config:
    """The config as `load` has it. `ConfigError` also for each key that can't be used.

    Providers that are the same in the `running` config have their keys already, and a key
    file that is empty while it is written must not stand in the way of other changes.
    """
    config = load(path, environ)
    known = running.providers if running else {}
    if problems := [p for p in key_problems(config) if not _is_known(config, known, p)]:
        raise refuse(read(path, environ), problems)
    return config


def _is_known(config: Config, known: Mapping[str, Provider], problem: Problem) -> bool:
    name = str(problem.path[1])
    return known.get(name) == config.providers[name]


def key_problems(config: Config) -> Iterator[Problem]:
    """What is wrong with providers' keys; no key is ever shown."""
    for name, provider in config.providers.items():
        if isinstance(provider, SimulatedProvider):
            continue
        is_file = provider.api_key_file is not None
        try:
            _check(provider)
        except ConfigError as error:
            key = "api_key_file" if is_file else "api_key"
            yield Problem(("providers", name, key), error.message)


def _check(provider: OpenAIProvider | AnthropicProvider | AzureProvider) -> None:
    if provider.api_key_file is not None:
        read_key(Path(provider.api_key_file).expanduser())
    elif provider.api_key is not None:
        check_key(provider.api_key.get_secret_value())

"""A command's way to the cache: through the sidecar that runs, else through its files.

The files are opened only where nothing listens at the config's own admin address. With
`--admin-url` another sidecar was meant, whose files are not here: that is an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sidecar.cli.admin import Admin, NotRunningError, admin_of
from sidecar.cli.options import config_of
from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from sidecar.cli.own_cache import OwnCache
    from sidecar.config import Config

T = TypeVar("T")


def running_or_local(
    arguments: argparse.Namespace,
    running: Callable[[Admin], T],
    local: Callable[[OwnCache], T],
) -> T:
    """What the running sidecar says, else what its files say; stderr tells which."""
    return running_or_files(arguments, running, lambda config: local(_own_cache(config)))


def running_or_files(
    arguments: argparse.Namespace,
    running: Callable[[Admin], T],
    files: Callable[[Config], T],
) -> T:
    """What the running sidecar says, else what is read from the config's `state_dir`."""
    admin = admin_of(arguments)
    try:
        return running(admin)
    except NotRunningError as error:
        if arguments.admin_url:
            raise
        return files(_config_with_files(arguments, error.message))


def _config_with_files(arguments: argparse.Namespace, why: str) -> Config:
    config = config_of(arguments)
    if not Path(config.state_dir).expanduser().is_dir():
        raise ConfigError(
            f"{why}, and there is no state_dir {config.state_dir}: "
            "start it, or give --admin-url or --config"
        )
    print(f"{why}: opening {config.state_dir} itself", file=sys.stderr)
    return config


def _own_cache(config: Config) -> OwnCache:
    from sidecar.cli.own_cache import OwnCache  # noqa: PLC0415 (numpy and more)

    return OwnCache(config)

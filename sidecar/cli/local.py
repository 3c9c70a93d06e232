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

T = TypeVar("T")


def running_or_local(
    arguments: argparse.Namespace,
    running: Callable[[Admin], T],
    local: Callable[[OwnCache], T],
) -> T:
    """What the running sidecar says, else what its files say; stderr tells which."""
    admin = admin_of(arguments)
    try:
        return running(admin)
    except NotRunningError as error:
        if arguments.admin_url:
            raise
        return local(_own_cache(arguments, error.message))


def _own_cache(arguments: argparse.Namespace, why: str) -> OwnCache:
    config = config_of(arguments)
    if not Path(config.state_dir).expanduser().is_dir():
        raise ConfigError(
            f"{why}, and there is no state_dir {config.state_dir}: "
            "start it, or give --admin-url or --config"
        )
    print(f"{why}: opening {config.state_dir} itself", file=sys.stderr)
    from sidecar.cli.own_cache import OwnCache  # noqa: PLC0415 (numpy and more)

    return OwnCache(config)

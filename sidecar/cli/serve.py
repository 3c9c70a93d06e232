"""`sidecar serve`: answer requests until a signal ends it."""

from __future__ import annotations

import argparse
import os

from sidecar.cli.options import Commands, command
from sidecar.hangup import HangUp


def register(commands: Commands) -> None:
    """Add the command."""
    command(
        commands,
        "serve",
        run,
        help_="answer requests until a signal ends it; SIGHUP reads the config again",
        example="SIDECAR__LISTEN__PORT=8000 sidecar serve --config sidecar.yaml",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve; a bad config is told before anything heavy is loaded."""
    hang_up = HangUp()  # first thing: unheard, the signal ends a process that only starts
    from sidecar.reload import ConfigSource  # noqa: PLC0415 (pydantic, as the config wants)

    source = ConfigSource(arguments.config, dict(os.environ)).pinned()
    config = source.load()
    from sidecar.serve import run as serve  # noqa: PLC0415 (aiohttp, numpy, the models)

    return serve(config, source, hang_up)

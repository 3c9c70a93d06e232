"""`sidecar cache stats`: how much is cached."""

from __future__ import annotations

import argparse
from typing import Any

from sidecar.cli.local import running_or_local
from sidecar.cli.options import Commands, add_admin, add_json, command
from sidecar.cli.output import human_size, print_json, print_rows


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "stats",
        run,
        help_="how much is cached, in the running sidecar or in its state_dir",
        example="sidecar cache stats --json",
    )
    add_admin(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the cache's own figures."""
    stats = running_or_local(
        arguments,
        lambda admin: admin.require("GET", "/api/status")["cache"],
        lambda cache: cache.figures(),
    )
    if arguments.json:
        print_json(stats)
    else:
        print_rows([(name.replace("_", " "), _shown(name, stats[name])) for name in stats])
    return 0


def _shown(name: str, value: Any) -> str:
    if name.endswith("bytes") and isinstance(value, int | float):
        return human_size(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {count:,}" for key, count in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)

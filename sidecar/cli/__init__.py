"""The command line: one file a command, each imported only as far as it must be.

Exit status: 0 done, 1 the check failed, 2 bad usage or config. Errors are told in one
line on stderr (a bad config: one line a problem), never as a traceback. This package
imports no inference engine and no web framework before a command needs it, since
`healthcheck` runs every few seconds in every pod.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from sidecar import __version__
from sidecar.cli import (
    budgets,
    cache_purge,
    cache_stats,
    check,
    healthcheck,
    models_list,
    routes,
    serve,
    usage,
    usage_close,
    usage_reconcile,
)
from sidecar.cli.options import Parser, group
from sidecar.errors import ConfigError, InvalidRequestError, SidecarError

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of `argv` (the process's own by default); the exit status."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except SidecarError as error:
        return _told(error.message, BAD_USAGE if is_bad_usage(error) else FAILED)
    except BrokenPipeError:
        return _reader_left()
    except OSError as error:
        return _told(f"sidecar: {error}", BAD_USAGE)
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> Parser:
    """All commands and their options."""
    whole = Parser(
        prog="sidecar",
        description="Answers near-duplicate prompts from a verified cache, forwards the rest.",
        epilog="example: sidecar serve --config sidecar.yaml",
    )
    whole.add_argument("--version", action="version", version=f"sidecar {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    for command in (serve, check, healthcheck):
        command.register(commands)
    in_cache = group(commands, "cache", "look at the cache, forget entries", "sidecar cache stats")
    cache_stats.register(in_cache)
    cache_purge.register(in_cache)
    routes.register(commands)
    of_usage = usage.register(commands)
    usage_close.register(of_usage)
    usage_reconcile.register(of_usage)
    budgets.register(group(commands, "budgets", "what is spent and left", "sidecar budgets list"))
    models_list.register(group(commands, "models", "embedding models", "sidecar models list"))
    return whole


def is_bad_usage(error: SidecarError) -> bool:
    """Whether what was asked for is at fault: a config, or what a running one answers 400 to."""
    is_refused = isinstance(error, InvalidRequestError) and error.status == 400
    return is_refused or isinstance(error, ConfigError)


def _told(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


def _reader_left() -> int:
    """Whoever read our output has left, as `head` does: the last flush at exit must not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED

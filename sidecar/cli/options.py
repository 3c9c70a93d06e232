"""Options that commands share, and a parser whose errors are one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    from sidecar.config import Config

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
Run: TypeAlias = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """argparse, with errors told in one line and examples left as they were written."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong and where help is; exit 2."""
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def command(commands: Commands, name: str, run: Run, *, help_: str, example: str) -> Parser:
    """A new command with `--config` and an example in its help."""
    parser = commands.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}.",
        epilog=f"example: {example}",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="config file (default: $SIDECAR_CONFIG, ./sidecar.yaml, the embedded default)",
    )
    parser.set_defaults(run=run)
    return parser


def group(commands: Commands, name: str, help_: str, example: str) -> Commands:
    """The commands beneath a name, such as `cache`."""
    parser = commands.add_parser(name, help=help_, epilog=f"example: {example}")
    return parser.add_subparsers(metavar="COMMAND", required=True)


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def add_admin(parser: argparse.ArgumentParser) -> None:
    """`--admin-url` and `--token`."""
    parser.add_argument(
        "--admin-url", metavar="URL", help="a running sidecar's admin plane (default: the config's)"
    )
    parser.add_argument(
        "--token", help="its bearer token (default: $SIDECAR_ADMIN_TOKEN, else the config's)"
    )


def config_of(arguments: argparse.Namespace) -> Config:
    """The config that the command is to use. `ConfigError` where it is bad."""
    from sidecar.config import load  # noqa: PLC0415 (pydantic only where a command needs it)

    return load(arguments.config, os.environ)

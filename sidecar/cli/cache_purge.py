"""`sidecar cache purge`: forget cached answers, in every tier."""

from __future__ import annotations

import argparse
from typing import Any

from sidecar.cli.local import running_or_local
from sidecar.cli.options import Commands, add_admin, add_json, command
from sidecar.cli.output import print_json

SELECTORS = {
    "tenant": "answers of this tenant",
    "tag": "answers stored with this tag",
    "model": "answers that this model was asked for, or gave",
    "prompt": "answers of this stored prompt, as id or id@version",
    "user": "answers of this user",
    "entry": "the one answer with this id",
}


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "purge",
        run,
        help_="forget cached answers, in the running sidecar or in its state_dir",
        example="sidecar cache purge --tenant shop --dry-run",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    for name, help_ in SELECTORS.items():
        which.add_argument(f"--{name}", metavar=name.upper(), type=_text, help=help_)
    which.add_argument("--all", action="store_true", help="every answer")
    parser.add_argument("--dry-run", action="store_true", help="only say how many that would be")
    add_admin(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Forget what matches, and say how much that was."""
    field, value = selector(arguments)
    wish = {field: value, "dry_run": arguments.dry_run}
    answer = running_or_local(
        arguments,
        lambda admin: admin.require("POST", "/api/purge", wish),
        lambda cache: cache.purge(field, "" if value is True else value, arguments.dry_run),
    )
    if arguments.json:
        print_json(answer)
    else:
        print(_told(answer))
    return 0


def selector(arguments: argparse.Namespace) -> tuple[str, Any]:
    """The one selector that was given, as the admin API names it."""
    given = ((name, getattr(arguments, name)) for name in SELECTORS)
    return next(((name, value) for name, value in given if value is not None), ("all", True))


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected a text that is not empty")
    return text


def _told(answer: dict[str, Any]) -> str:
    count = answer["matched"]
    entries = f"{count:,} {'entry' if count == 1 else 'entries'}"
    return f"{entries} would be purged" if answer["dry_run"] else f"{entries} purged"

"""`sidecar check`: validate a config and print it whole, secrets masked."""

from __future__ import annotations

import argparse
import os

from sidecar.cli.options import Commands, add_json, command
from sidecar.cli.output import print_json


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "check",
        run,
        help_="validate a config and print it resolved, secrets masked",
        example="sidecar check --config sidecar.yaml",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the config as YAML, then as comments who answers and what is not in force."""
    from sidecar.budget.prices import PriceTable  # noqa: PLC0415
    from sidecar.config.defaults import provider_line  # noqa: PLC0415
    from sidecar.key_checks import load_with_keys  # noqa: PLC0415 (pydantic and the providers)
    from sidecar.price_notes import price_line, price_notes  # noqa: PLC0415

    config = load_with_keys(arguments.config, os.environ)
    prices = PriceTable(config.prices)
    notes = [*config.notes, *price_notes(config, prices)]
    if arguments.json:
        print_json(
            {
                "config": config.masked(),
                "providers": provider_line(config),
                "prices": price_line(prices),
                "notes": notes,
            }
        )
        return 0
    import yaml  # noqa: PLC0415

    text = yaml.safe_dump(config.masked(), sort_keys=False, allow_unicode=True, width=100)
    comments = (provider_line(config), price_line(prices), *notes)
    print(text, *(f"# {comment}" for comment in comments), sep="\n")
    return 0

"""`sidecar routes`: who answers for which model in the running sidecar, and the toggle."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from sidecar.cli.admin import admin_of
from sidecar.cli.options import Commands, Parser, Run, add_admin, add_json, command, group
from sidecar.cli.output import print_json, print_rows

_HEAD = ("model", "list", "", "target", "weight", "breaker", "in flight")


def register(commands: Commands) -> None:
    """Add the commands."""
    routes = group(commands, "routes", "who answers, and the toggle", "sidecar routes list")
    _add(routes, "list", show, "who answers for each model", "sidecar routes list --json")
    set_ = _add(
        routes,
        "set",
        choose,
        "let a variant answer for a model from the next request on",
        "sidecar routes set gpt-4o cheap",
    )
    _add_model(set_)
    set_.add_argument("variant", metavar="VARIANT", help="a variant's name, or targets")
    reset = _add(
        routes,
        "reset",
        choose,
        "let those answer again that the config says",
        "sidecar routes reset gpt-4o",
    )
    _add_model(reset)
    reset.set_defaults(variant=None)


def show(arguments: argparse.Namespace) -> int:
    """Print a line a target; a star marks the list that answers."""
    _print(arguments, admin_of(arguments).require("GET", "/api/routes"))
    return 0


def choose(arguments: argparse.Namespace) -> int:
    """Toggle, and print what holds now for those that were meant."""
    path = f"/api/routes/{quote(arguments.model, safe='')}"
    answer = admin_of(arguments).require("PUT", path, {"active": arguments.variant})
    _print(arguments, answer)
    return 0 if answer["saved"] else 1


def _add(routes: Commands, name: str, run: Run, help_: str, example: str) -> Parser:
    parser = command(routes, name, run, help_=help_, example=example)
    add_admin(parser)
    add_json(parser)
    return parser


def _add_model(parser: Parser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help='its name; "*" for all that have the variant'
    )


def _print(arguments: argparse.Namespace, answer: dict[str, Any]) -> None:
    if arguments.json:
        print_json(answer)
        return
    rows = [row for name, told in answer["routes"].items() for row in _rows(name, told)]
    print_rows([_HEAD, *rows])
    if not answer.get("saved", True):
        print("the disk refuses: this holds until the end of the process")


def _rows(name: str, told: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A line for each target of each list, the model named in the first."""
    in_flight = str(told["in_flight"])
    for variant, targets in (*told["variants"].items(), ("fallbacks", told["fallbacks"])):
        star = "*" if variant == told["active"] else ""
        for target in targets:
            who, breaker = f"{target['provider']}/{target['model']}", target["breaker"]
            weight = f"{target['weight']:g}" if "weight" in target else ""
            yield name, variant, star, who, weight, breaker["state"].replace("_", "-"), in_flight
            name = in_flight = ""

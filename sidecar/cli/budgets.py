"""`sidecar budgets`: what is spent, held and left; charges that wait for a provider's word."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sidecar.cli.admin import Admin
from sidecar.cli.local import running_or_files
from sidecar.cli.options import Commands, add_admin, add_json, command
from sidecar.cli.output import print_figures, print_json, print_rows, usd
from sidecar.errors import ConfigError, SidecarError


def register(commands: Commands) -> None:
    """Add the commands."""
    listing = command(
        commands,
        "list",
        run_list,
        help_="every budget: limit, spent, held, left, forecast",
        example="sidecar budgets list",
    )
    show = command(
        commands,
        "show",
        run_show,
        help_="all that is known of one budget",
        example="sidecar budgets show support-daily",
    )
    show.add_argument("name", help="the budget's name")
    reconcile = command(
        commands,
        "reconcile",
        run_reconcile,
        help_="list charges that only a bound vouches for, or put their real cost in its place",
        example="sidecar budgets reconcile --charge req_1f…:1 --usd 0.0123",
    )
    which = reconcile.add_mutually_exclusive_group()
    which.add_argument("--charge", metavar="ID", help="the charge, as it is listed")
    which.add_argument("--from", dest="file", metavar="FILE.csv", help="columns: charge, cost_usd")
    reconcile.add_argument("--usd", metavar="DOLLARS", help="what --charge really cost")
    reconcile.add_argument("--note", default="", help="why, for the journal")
    for parser in (listing, show, reconcile):
        add_admin(parser)
        add_json(parser)


def run_list(arguments: argparse.Namespace) -> int:
    """Print all budgets."""
    budgets = _budgets(arguments)
    if arguments.json:
        print_json({"budgets": budgets})
    elif budgets:
        print_figures([_line(row) for row in budgets], keep=("spent", "left"))
    else:
        print("no budget is configured")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Print one budget; 1 where there is none of that name."""
    found = [row for row in _budgets(arguments) if row["budget"] == arguments.name]
    if not found:
        print(f"no budget is called {arguments.name!r}", file=sys.stderr)
        return 1
    if arguments.json:
        print_json({"budgets": found})
    for row in () if arguments.json else found:
        print_rows([(name.replace("_", " "), str(value)) for name, value in row.items()])
        print()
    return 0


def run_reconcile(arguments: argparse.Namespace) -> int:
    """Print what waits, or settle it."""
    if arguments.charge and not arguments.usd:
        raise ConfigError("--charge needs --usd: what it really cost, such as 0.0123")
    if arguments.usd and not arguments.charge:
        raise ConfigError("--usd needs --charge: the charge, as it is listed")
    if arguments.charge:
        return _settle(arguments, [(arguments.charge, arguments.usd)])
    if arguments.file:
        return _settle(arguments, _read(Path(arguments.file)))
    return _list_unsettled(arguments)


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    """An account as people read it."""
    names = {name: name for name in ("limit", "spent", "held")}
    names |= {"left": "remaining", "forecast": "forecast"}
    sums = {head: usd(row[f"{name}_usd"]) for head, name in names.items()}
    until = {"step": row["step"], "until": row["resets_at"]}
    return {"budget": row["budget"], "each": row["each"], **sums, **until}


def _charge(row: Mapping[str, Any]) -> dict[str, str]:
    """A charge as people read it."""
    names = ("id", "at", "department", "user", "provider", "model")
    return {**{name: row[name] for name in names}, "charged": usd(row["charged_usd"])}


def _correction(row: Mapping[str, Any]) -> dict[str, str]:
    """What a reconciliation has changed, as people read it."""
    return {
        "charge": row["charge"],
        **{name: usd(row[f"{name}_usd"]) for name in ("charged", "cost", "difference")},
    }


def _list_unsettled(arguments: argparse.Namespace) -> int:
    waiting = running_or_files(
        arguments,
        lambda admin: admin.report("GET", "/api/budgets/unsettled"),
        lambda config: _own().unsettled_of(config),
    )
    if arguments.json:
        print_json(waiting)
    elif waiting["rows"]:
        print_figures([_charge(row) for row in waiting["rows"]])
    else:
        print("nothing waits: every charge has its provider's word")
    return 0


def _settle(arguments: argparse.Namespace, costs: Iterable[tuple[str, str]]) -> int:
    bodies = [
        {"charge": charge, "cost_usd": usd_, "note": arguments.note} for charge, usd_ in costs
    ]
    done: list[Mapping[str, Any]] = []
    try:
        running_or_files(
            arguments,
            lambda admin: _reconcile(admin, bodies, done),
            lambda config: _own().reconcile_in(config, bodies, done),
        )
    finally:  # what was done before one was refused is done
        _print_done(arguments, done)
    return 0


def _reconcile(
    admin: Admin, bodies: Iterable[Mapping[str, str]], done: list[Mapping[str, Any]]
) -> None:
    for body in bodies:
        told = admin.report("POST", "/api/budgets/reconcile", body)
        done.append(told)


def _print_done(arguments: argparse.Namespace, done: list[Mapping[str, Any]]) -> None:
    if arguments.json:
        print_json({"reconciled": done})
    elif done:
        print_figures([_correction(row) for row in done], keep=("difference",))


def _budgets(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    told = running_or_files(
        arguments,
        lambda admin: admin.report("GET", "/api/budgets"),
        lambda config: _own().budgets_of(config),
    )
    if told["failure"]:
        raise SidecarError(told["failure"])
    return list(told["budgets"])


def _read(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: expected a CSV file in UTF-8") from None
    for number, row in enumerate(rows, 2):
        if not (row.get("charge") and row.get("cost_usd")):
            raise ConfigError(f"{path}: line {number}: expected the columns charge and cost_usd")
    return [(row["charge"], row["cost_usd"]) for row in rows]


def _own() -> Any:
    from sidecar.cli import own_usage  # noqa: PLC0415 (sqlite only where it is needed)

    return own_usage

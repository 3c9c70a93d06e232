"""`sidecar usage close`: a month's charges for the books, adding up with the budgets."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sidecar.cli.local import running_or_files
from sidecar.cli.options import Commands, add_admin, command
from sidecar.cli.output import print_figures, print_json, usd
from sidecar.cli.usage import add_format
from sidecar.tables import csv_of

if TYPE_CHECKING:
    from sidecar.config import Config


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "close",
        run,
        help_="a month's charges by day, department, feature and model; exit 1 where the "
        "budgets don't add up with them",
        example="sidecar usage close 2026-10 --timezone Europe/Berlin --format csv",
    )
    parser.add_argument("month", help="such as 2026-10")
    parser.add_argument("--timezone", default="UTC", help="in which the month begins")
    add_format(parser)
    add_admin(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the closing; 1 where it does not add up."""
    options = {"month": arguments.month, "timezone": arguments.timezone}
    report = running_or_files(
        arguments,
        lambda admin: admin.report("GET", f"/api/usage/closing?{urlencode(options)}"),
        lambda config: _from_files(config, options),
    )
    _print(report, arguments.format)
    return 1 if any(row["difference_usd"] != "0" for row in report["budgets"]) else 0


def _from_files(config: Config, options: Mapping[str, str]) -> dict[str, Any]:
    from sidecar.cli.own_usage import closing_of  # noqa: PLC0415 (sqlite only where it is needed)

    return closing_of(config, options)


def _print(report: Mapping[str, Any], form: str) -> None:
    if form == "json":
        print_json(report)
    elif form == "csv":
        print(csv_of(report["rows"], report["columns"]), end="")
    else:
        _print_tables(report)


def _print_tables(report: Mapping[str, Any]) -> None:
    if not report["rows"]:
        print(f"nothing was charged in {report['month']}")
        return
    print_figures([_line(row) for row in report["rows"]], keep=("day", "cost"))
    total = report["total"]
    print(f"\ntotal: {total['calls']:,} calls, ${total['cost_usd']}", end="")
    print(f", of which ${total['unsettled_usd']} by a bound alone")
    if report["budgets"]:
        print()
        print_figures([_window(row) for row in report["budgets"]], keep=("difference",))


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    """A group of charges as people read it."""
    names = ("day", "tenant", "department", "feature", "provider", "model", "calls")
    return {
        **{name: row[name] for name in names},
        "tokens_in": row["input_tokens"],
        "out": row["output_tokens"],
        "cost": usd(row["cost_usd"]),
        "by_a_bound": usd(row["unsettled_usd"]),
    }


def _window(row: Mapping[str, Any]) -> dict[str, Any]:
    """A budget's window as people read it."""
    return {
        "budget": row["budget"],
        "each": row["each"],
        "from": _moment(row["start"]),
        "to": _moment(row["end"]),
        "spent": usd(row["spent_usd"]),
        "charges": usd(row["charges_usd"]),
        "difference": f"${row['difference_usd']}",
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")

"""`sidecar usage`: who asked for what, what it cost and what was saved."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sidecar.cli.local import running_or_files
from sidecar.cli.options import Commands, add_admin, command
from sidecar.cli.output import print_figures, print_json, usd
from sidecar.tables import csv_of

if TYPE_CHECKING:
    from sidecar.config import Config

FORMATS = ("table", "json", "csv")
_NO_GROUPS = ("by", "since", "until", "timezone", "format")
_SHOWN = ("requests", "exact", "semantic", "coalesced", "errors")


def register(commands: Commands) -> Commands:
    """Add the command; what is beneath it may be added to what this returns."""
    parser = command(
        commands,
        "usage",
        run,
        help_="who asked for what, what it cost and what was saved",
        example="sidecar usage --by department,model --since 7d --format csv",
    )
    parser.add_argument(
        "--by",
        default="department",
        metavar="GROUPS",
        help="comma list of user, feature, department, tenant, model, route, provider, "
        "answered_model, cache, endpoint, prompt, session, client, status, degraded, "
        "hour, day, month (default: department)",
    )
    add_period(parser)
    parser.add_argument(
        "--where", action="append", default=[], metavar="GROUP=VALUE", help="only rows with it"
    )
    add_format(parser)
    add_admin(parser)
    beneath: Commands = parser.add_subparsers(metavar="COMMAND")
    return beneath


def add_period(parser: argparse.ArgumentParser) -> None:
    """`--since`, `--until`, `--timezone`."""
    parser.add_argument(
        "--since", default="24h", metavar="WHEN", help="24h, 7d, 2026-10-05 (default: 24h)"
    )
    parser.add_argument("--until", metavar="WHEN", help="the same; default: now")
    parser.add_argument(
        "--timezone", default="UTC", metavar="ZONE", help="in which days begin (default: UTC)"
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """`--format`, and `--json` for short."""
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="as --format json"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    options = _options(arguments)
    path = f"/api/usage?{urlencode(options)}"
    report = running_or_files(
        arguments,
        lambda admin: admin.report("GET", path),
        lambda config: _from_files(config, options),
    )
    _print(report, arguments.format)
    return 0


def _options(arguments: argparse.Namespace) -> dict[str, str]:
    options = {
        "by": arguments.by,
        "since": arguments.since,
        "timezone": arguments.timezone,
    }
    if arguments.until:
        options["until"] = arguments.until
    return options | dict(_pair(text) for text in arguments.where)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or name in _NO_GROUPS:
        from sidecar.errors import ConfigError  # noqa: PLC0415

        raise ConfigError(f"--where: expected GROUP=VALUE, got {text!r}")
    return name, value


def _from_files(config: Config, options: Mapping[str, str]) -> dict[str, Any]:
    from sidecar.cli.own_usage import usage_of  # noqa: PLC0415 (sqlite only where it is needed)

    return usage_of(config, options)


def _print(report: Mapping[str, Any], form: str) -> None:
    if form == "json":
        print_json(report)
        return
    rows = report["rows"] if report["by"] else [report["total"]]
    if form == "csv":
        print(csv_of(rows, (*report["by"], *report["total"])), end="")
        return
    by = report["by"]
    shown = [_line(row, {name: row[name] or "-" for name in by}) for row in rows]
    if by:
        heads = {**dict.fromkeys(by, ""), by[0]: "total"}
        shown.append(_line(report["total"], heads))
    print_figures(shown, keep=(*by, "requests", "cost"))
    for note in _notes(report):
        print(note)


def _line(row: Mapping[str, Any], heads: Mapping[str, Any]) -> dict[str, Any]:
    """A group as people read it."""
    saved = sum(Decimal(row[f"saved_{by}_usd"]) for by in ("cache", "context", "route"))
    return {
        **{name: str(value) for name, value in heads.items()},
        **{name: row[name] for name in _SHOWN},
        "tokens_in": row["input_tokens"],
        "out": row["output_tokens"],
        "cost": usd(row["cost_usd"]),
        "saved": usd(str(saved)),
        "mean_ms": row["mean_total_ms"],
    }


def _notes(report: Mapping[str, Any]) -> Iterator[str]:
    """What a reader of the sums must know."""
    total = report["total"]
    if total["unpriced"]:
        yield f"{total['unpriced']:,} requests have no known price and are not in cost: set prices"
    if total["estimated"]:
        yield f"{total['estimated']:,} requests are in cost with an upper bound: see budgets"
    if report["cut"]:
        yield f"only the {len(report['rows']):,} dearest groups are shown; the total has them all"

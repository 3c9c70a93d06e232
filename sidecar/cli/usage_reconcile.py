"""`sidecar usage reconcile`: a provider's invoice beside our own charges, by day and model."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sidecar.cli.local import running_or_files
from sidecar.cli.options import Commands, add_admin, command
from sidecar.cli.output import print_figures, print_json, usd
from sidecar.cli.usage import add_format
from sidecar.errors import ConfigError, InvalidRequestError
from sidecar.tables import csv_of
from sidecar.usage.invoice import CENT, Comparison, Lines, compare, differing, read_invoice

if TYPE_CHECKING:
    from sidecar.config import Config


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "reconcile",
        run,
        help_="compare a provider's invoice (CSV) with our charges; exit 1 where they differ",
        example="sidecar usage reconcile invoice.csv --provider openai",
    )
    parser.add_argument("invoice", metavar="INVOICE.csv", help="columns: day, model, cost")
    parser.add_argument("--provider", help="only what this provider was paid (default: all)")
    parser.add_argument("--timezone", default="UTC", help="in which the invoice's days begin")
    parser.add_argument(
        "--tolerance",
        type=Decimal,
        default=Decimal("0.005"),
        metavar="USD",
        help="what a line may differ by (default: 0.005, the rounding to a cent)",
    )
    add_format(parser)
    add_admin(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print both sides; 1 where they differ."""
    theirs = _read(Path(arguments.invoice))
    lines = compare(_ours(arguments, theirs), theirs)
    apart = differing(lines, round(arguments.tolerance * 100 * CENT))
    _print([line.told() for line in lines], arguments.format, len(apart), _sum(lines))
    return 1 if apart else 0


def _read(path: Path) -> Lines:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = read_invoice(file)
    except InvalidRequestError as error:
        raise ConfigError(f"{path}: {error.message}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: expected a CSV file in UTF-8") from None
    if not lines:
        raise ConfigError(f"{path}: there is no line below its head")
    return lines


def _ours(arguments: argparse.Namespace, theirs: Lines) -> Lines:
    """Our charges on the days that the invoice is about."""
    days = [day for day, _ in theirs]
    options = {"from": min(days), "to": max(days), "timezone": arguments.timezone}
    if arguments.provider:
        options["provider"] = arguments.provider
    told = running_or_files(
        arguments,
        lambda admin: admin.report("GET", f"/api/usage/charges?{urlencode(options)}"),
        lambda config: _from_files(config, options),
    )
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in told["rows"]:  # an invoice does not know who asked
        sums[row["day"], row["model"]] += row["nano"]
    return sums


def _from_files(config: Config, options: Mapping[str, str]) -> dict[str, Any]:
    from sidecar.cli.own_usage import charges_of  # noqa: PLC0415 (sqlite only where it is needed)

    return charges_of(config, options)


def _sum(lines: list[Comparison]) -> dict[str, Any]:
    ours, theirs = sum(line.ours or 0 for line in lines), sum(line.theirs or 0 for line in lines)
    return Comparison("total", "", ours, theirs).told()


def _print(rows: list[dict[str, Any]], form: str, apart: int, total: dict[str, Any]) -> None:
    if form == "json":
        print_json({"rows": rows, "total": total, "differing": apart})
    elif form == "csv":
        print(csv_of([*rows, total]), end="")
    else:
        print_figures([_line(row) for row in (*rows, total)], keep=("ours", "invoice"))
        print(f"{apart} of {len(rows)} lines differ" if apart else "every line agrees")


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line as people read it; differences in full."""
    sums = {name: row[f"{name}_usd"] for name in ("ours", "invoice")}
    return {
        "day": row["day"],
        "model": row["model"],
        **{name: usd(amount) if amount else "" for name, amount in sums.items()},
        "difference": _exact(row["difference_usd"]),
        "note": row["note"],
    }


def _exact(amount: str) -> str:
    return f"-${amount[1:]}" if amount.startswith("-") else f"${amount}"

"""`sidecar healthcheck`: is the sidecar ready? For exec probes, so it must be quick."""

from __future__ import annotations

import argparse
import sys

from sidecar.cli.admin import Admin, address_of
from sidecar.cli.options import Commands, add_json, command
from sidecar.cli.output import print_json
from sidecar.errors import SidecarError

TIMEOUT_S = 2.0


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "healthcheck",
        run,
        help_="exit 0 when the sidecar is ready, 1 when it is not",
        example="sidecar healthcheck --admin-url http://127.0.0.1:9090",
    )
    parser.add_argument(
        "--admin-url", metavar="URL", help="its admin plane (default: the config's)"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask `/readyz`, which needs no token."""
    url = address_of(arguments)
    ready, told = _probe(url)
    if arguments.json:
        print_json({"ready": ready, "url": url, "reason": told})
    else:
        print(told, file=sys.stdout if ready else sys.stderr)
    return 0 if ready else 1


def _probe(url: str) -> tuple[bool, str]:
    try:
        status = Admin(url, timeout_s=TIMEOUT_S).ask("GET", "/readyz").status
    except SidecarError as error:
        return False, f"not ready: {error.message}"
    if status == 200:
        return True, f"ready: {url}"
    return False, f"not ready: {url}/readyz answered {status}"

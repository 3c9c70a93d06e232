"""A report as it is asked for over HTTP or on the command line: texts to a query. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.errors import InvalidRequestError
from sidecar.usage.period import moment, zone_of
from sidecar.usage.query import COLUMNS, UsageQuery

SINCE = "24h"
OWN = ("by", "since", "until", "timezone", "format")


def read_query(options: Mapping[str, str], now: float) -> UsageQuery:
    """The query of these options: `by`, `since`, `until`, `timezone`, and columns with the value
    that is wanted. `InvalidRequestError` names what is wrong.
    """
    for name in options:
        if name not in OWN and name not in COLUMNS:
            known = ", ".join((*OWN, *COLUMNS))
            raise InvalidRequestError(f"no option {name[:40]!r}; there are: {known}", param=name)
    timezone = options.get("timezone", "UTC")
    zone = zone_of(timezone)
    until = options.get("until")
    return UsageQuery(
        since=moment(options.get("since", SINCE), zone, now, "since"),
        # Rows of this very second are wanted too.
        until=moment(until, zone, now, "until") if until else now + 1.0,
        by=tuple(name.strip() for name in options.get("by", "").split(",") if name.strip()),
        where={name: value for name, value in options.items() if name in COLUMNS},
        timezone=timezone,
    )

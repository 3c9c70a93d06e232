"""Periods as people write them: `24h`, `7d`, `2026-10`, `2026-10-05`, `2026-10-05T12:00`. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar.config.units import parse_duration
from sidecar.errors import InvalidRequestError

_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
HELP = "a duration such as 24h or 7d, a day such as 2026-10-05, or a time such as 2026-10-05T12:00"


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name; `InvalidRequestError` where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequestError(
            f"no time zone {name[:60]!r}; give an IANA name such as Europe/Berlin",
            param="timezone",
        ) from None


def moment(text: str, zone: ZoneInfo, now: float, param: str) -> float:
    """Unix seconds of a text: so long before `now`, or that day or time in the zone."""
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError(
            f"{param}: expected {HELP}, got {text[:40]!r}", param=param
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()


def month(text: str, zone: ZoneInfo) -> tuple[float, float]:
    """Where a month such as `2026-10` begins in the zone, and where it has ended."""
    found = _MONTH.fullmatch(text)
    year, number = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= 12 or not 1970 <= year < 9999:
        raise InvalidRequestError(
            f"expected a month such as 2026-10, got {text[:40]!r}", param="month"
        )
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    start, end = datetime(year, number, 1, tzinfo=zone), datetime(*following, 1, tzinfo=zone)
    return start.timestamp(), end.timestamp()

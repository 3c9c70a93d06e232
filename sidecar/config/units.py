"""Durations such as `24h` and sizes such as `128MiB`: text to numbers and back.

Pure. A bare number is refused, since nobody can tell seconds from milliseconds by
looking at it; 0 needs no unit. What is parsed is exact: whole milliseconds, whole bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

_MS: Mapping[str, int] = {
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_BYTES: Mapping[str, int] = {
    "TiB": 2**40,
    "GiB": 2**30,
    "MiB": 2**20,
    "KiB": 2**10,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "kB": 10**3,
    "B": 1,
}
_BINARY = ("TiB", "GiB", "MiB", "KiB", "B")
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]{1,3})", re.ASCII)
DURATION_HELP = "a duration such as 24h, 10m, 2s or 500ms"
SIZE_HELP = "a size such as 128MiB or 1GiB"


def parse_duration(value: object) -> float:
    """Seconds of a text such as `1.5h`; `ValueError` for anything else."""
    return _count(value, _MS, DURATION_HELP) / 1000


def parse_size(value: object) -> int:
    """Bytes of a text such as `128MiB`; `ValueError` for anything else."""
    return _count(value, _BYTES, SIZE_HELP)


def render_duration(seconds: float) -> str:
    """The shortest text that parses to `seconds`; days only from two days on."""
    ms = round(seconds * 1000)
    for unit, size in _MS.items():
        if ms % size == 0 and (unit != "d" or ms >= 2 * size):
            return f"{ms // size}{unit}" if ms else "0"
    raise AssertionError  # every whole number of milliseconds divides by one


def render_size(count: int) -> str:
    """The shortest binary text that parses to `count` bytes."""
    unit = next(unit for unit in _BINARY if count % _BYTES[unit] == 0)
    return f"{count // _BYTES[unit]}{unit}" if count else "0"


def _count(value: object, units: Mapping[str, int], expected: str) -> int:
    if (value == 0 and not isinstance(value, bool)) or value == "0":
        return 0
    found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        raise ValueError(f"expected {expected}")
    exact = Decimal(found[1]) * units[found[2]]
    if exact != exact.to_integral_value():
        raise ValueError(f"expected {expected}, without a fraction of the smallest unit")
    return int(exact)

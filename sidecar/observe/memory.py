"""How much of the memory that this process may have it holds.

The limit is that of its control group (version 2 or 1), or of the nearest one above that
has any; without one there is no share to tell. Held is what the kernel could not take
back by dropping file pages: resident memory without the part that is mapped from files,
since only that leads to a kill.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sidecar.clock import Clock

PERIOD_S = 0.5
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_OWN_PAGES = Path("/proc/self/statm")
_UNLIMITED = 1 << 60
"""Version 1 writes a number near 2^63 where there is no limit."""


class MemoryShare:
    """Reads a share from 0 to 1, at most twice a second; 0 where nothing is limited or told."""

    def __init__(
        self, clock: Clock, limit_bytes: int | None = None, pages: Path = _OWN_PAGES
    ) -> None:
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._pages = pages
        self._read_at = float("-inf")
        self._share = 0.0

    def __call__(self) -> float:
        """The share that is held now, or was a moment ago."""
        if self._limit_bytes is None:
            return 0.0
        now = self._clock.tick()
        if now - self._read_at >= PERIOD_S:
            self._read_at = now
            self._share = held_bytes(self._pages) / self._limit_bytes
        return self._share


def held_bytes(pages: Path = _OWN_PAGES) -> int:
    """Resident memory that no file backs; 0 where the system doesn't tell."""
    with suppress(OSError, ValueError, IndexError):
        fields = pages.read_text().split()
        return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
    return 0


def limit_bytes(own: Path = _OWN_GROUPS, groups: Path = _GROUPS) -> int | None:
    """The strictest limit of this process's control groups; None where there is none."""
    found: list[int] = []
    with suppress(OSError):
        for line in own.read_text().splitlines():
            number, _, rest = line.partition(":")
            controllers, _, group = rest.partition(":")
            if number == "0":
                found += _limits(groups, group, "memory.max")
            elif "memory" in controllers.split(","):
                found += _limits(groups / "memory", group, "memory.limit_in_bytes")
    return min(found, default=None)


def _limits(root: Path, group: str, name: str) -> list[int]:
    """The limits from a group up to the root. In a container its own group is the root."""
    place = root / group.strip("/")
    found = []
    for folder in (place, *place.parents):
        if folder.is_relative_to(root):
            with suppress(OSError, ValueError):  # "max" is no number
                found.append(int((folder / name).read_text()))
    return [limit for limit in found if 0 < limit < _UNLIMITED]

"""Gives freed memory back to the system.

glibc keeps what large arrays leave behind: after 100,000 vectors were sealed, as much again
as they take. Its `malloc_trim` returns whole free pages, 3 ms for those. Other C libraries
have no such call, and nothing happens.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # no such thing as the C library of this process
        return None
    return found


def trim() -> None:
    """Return free pages; other threads may go on meanwhile."""
    if (malloc_trim := _find_trim()) is not None:
        malloc_trim(0)

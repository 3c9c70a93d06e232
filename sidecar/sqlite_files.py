"""What all SQLite files of the state directory have in common, whatever is in them.

They are made for their owner alone. One that is damaged is renamed, with one line in the
log, and a fresh one takes its place; only the newest that was set aside is kept, since no
purge can look into it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

_SUFFIXES = ("", "-wal", "-shm")
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_log = logging.getLogger(__name__)


def result_code(error: Exception) -> int:
    """SQLite's primary result code; 0 where the error is not SQLite's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that the file's structure is broken, not merely out of reach."""
    return result_code(error) in _DAMAGE


def make_private(path: Path) -> None:
    """An empty file where there is none, for its owner alone: SQLite gives its journals the
    file's mode. No symbolic link is followed.
    """
    made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(made, 0o600)
    finally:
        os.close(made)


def set_aside(path: Path, now: float, why: str) -> None:
    """Rename the file and its journals, so that nothing is lost to who wants to look.

    `now` is in Unix seconds and names them.
    """
    remove_set_aside(path)
    name = f"{path.name}.damaged-{int(now)}"
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(name + suffix))
    _log.error("%s is damaged (%s): set aside as %s, starting empty", path, why, name)


def remove_set_aside(path: Path) -> None:
    """Delete what was set aside: it holds answers that a purge can't select."""
    for old in path.parent.glob(f"{path.name}.damaged-*"):
        old.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Delete the file and its journals."""
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def file_bytes(path: Path) -> int:
    """What the file and its journals take on disk."""
    total = 0
    for suffix in _SUFFIXES:
        with suppress(OSError):
            total += path.with_name(path.name + suffix).stat().st_size
    return total

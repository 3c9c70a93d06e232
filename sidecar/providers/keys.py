"""An API key that lives in a file, as secrets of a cluster do: a changed file is the new key.

The file is looked at when a key is wanted, at most once a second, and read only when it
looks different; no thread and no timer. At start it must hold a key. Afterwards the last
good key is kept whatever becomes of the file, since a file is often empty for a moment
while it is written. The key is in no repr and no error.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TypeAlias

from sidecar.clock import Clock
from sidecar.errors import ConfigError

MAX_BYTES = 16 * 1024
LOOK_AFTER_S = 1.0
Stamp: TypeAlias = tuple[int, int, int]
"""Inode, time of change and size: what differs when a file was written or replaced."""
_log = logging.getLogger(__name__)


class KeyFile:
    """A callable that gives the present key. `ConfigError` at birth where there is none."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._looked_at = clock.tick()
        self._seen: Stamp | None
        try:
            self._seen, self._key = read_key(path)
        except ConfigError as error:
            raise ConfigError(f"api_key_file {error.message}") from None

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"

    def __call__(self) -> str:
        """The key that the file holds, or held last."""
        now = self._clock.tick()
        if now - self._looked_at >= LOOK_AFTER_S:
            self._looked_at = now
            self._look()
        return self._key

    def _look(self) -> None:
        """Read the file where it is another one than last time: so a complaint comes once."""
        found = _stamp_of(self._path)
        if found == self._seen:
            return
        self._seen, before = found, self._key
        try:
            _, self._key = read_key(self._path)
        except ConfigError as error:
            _log.warning("api_key_file %s; the last key is kept", error.message)
            return
        if self._key != before:
            _log.info("the API key in %s changed: the new one is used", self._path)


def read_key(path: Path) -> tuple[Stamp, str]:
    """The key in a file, and the file's stamp as it was read. `ConfigError` names the file."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    key = raw.strip()
    if not key:
        raise ConfigError(f"{path} is empty: it must hold the key and nothing else")
    if len(raw) > MAX_BYTES or not _is_sendable(key):
        raise ConfigError(f"{path} holds no key: one line of plain ASCII is expected")
    return (found.st_ino, found.st_mtime_ns, found.st_size), key.decode()


def _is_sendable(key: bytes) -> bool:
    """Whether a header can carry it."""
    return all(0x20 < byte < 0x7F for byte in key)


def _stamp_of(path: Path) -> Stamp | None:
    """What the file looks like now; None where there is none. Links are followed."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

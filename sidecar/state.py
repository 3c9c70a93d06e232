"""The state directory: made private, checked writable, owned by one process.

Ownership is a `flock` on the file `lock`, which the kernel lets go when its holder dies,
however it dies: a lock left by a killed process stops nobody. What the file says (pid
and addresses of the owner) is told to a second process that is refused, and proves
nothing by itself. The file is never removed: a second process might hold it open, and
a third would then lock another one of the same name.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sidecar.errors import ConfigError

LOCK_FILE = "lock"
REQUESTS = "requests.sqlite"
JOURNAL = "money.sqlite"
_MAX_LOCK_BYTES = 4096


class StateDir:
    """A folder for all that outlives the process. Use as a context manager.

    `addresses` are what the owner can be reached at, for whoever is refused.
    """

    def __init__(self, path: str | Path, addresses: Sequence[str] = ()) -> None:
        self.path = Path(path).expanduser()
        self._addresses = tuple(addresses)
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Make it and own it. `ConfigError` where that can't be, naming who owns it."""
        try:
            self._make()
            self._lock = self._own()
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(
                f"state_dir {self.path} can't be written: {reason}; "
                "make it writable for this user, or change state_dir"
            ) from error

    def release(self) -> None:
        """Let another process own it. Doing so twice does no harm."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def _make(self) -> None:
        if not self.path.is_dir():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(None, "permission denied")

    def _own(self) -> int:
        # No symbolic link is followed: the file is emptied, and must be ours.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        lock = os.open(self.path / LOCK_FILE, flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sign(lock)
        except BlockingIOError:
            owner = _owner(lock)
            os.close(lock)
            raise ConfigError(
                f"state_dir {self.path} is in use by {owner}; "
                "stop it, or give this one a state_dir of its own"
            ) from None
        except OSError:
            os.close(lock)
            raise
        return lock

    def _sign(self, lock: int) -> None:
        owner = {"pid": os.getpid(), "addresses": self._addresses}
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(owner).encode(), 0)


def _owner(lock: int) -> str:
    """Who signed the file, as far as it can be read: its owner may just be signing."""
    try:
        said = json.loads(os.pread(lock, _MAX_LOCK_BYTES, 0))
        pid, addresses = int(said["pid"]), [str(address) for address in said["addresses"]]
    except (ValueError, TypeError, KeyError):
        return "another process"
    return f"process {pid} ({', '.join(addresses)})" if addresses else f"process {pid}"

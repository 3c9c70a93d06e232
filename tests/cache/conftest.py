"""What the tests of the cache share."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.clock import ManualClock
from sidecar.events import Event
from tests.cache.making import NOW


@pytest.fixture
def clock() -> ManualClock:
    """Stands at the time at which entries are made."""
    return ManualClock(NOW)


@pytest.fixture
def told() -> list[Event]:
    """What observers were told."""
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a cache may live; its directory isn't there yet."""
    return tmp_path / "state" / "cache.sqlite"


class SmallDisk:
    """A real file system of one megabyte, full or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                return

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


class SmallFiles(SmallDisk):
    """No file may grow beyond a limit: what stands in where nothing may be mounted."""

    def fill(self) -> None:
        sizes = [file.stat().st_size for file in self.folder.rglob("*") if file.is_file()]
        _limit_files(max(sizes, default=0))

    def free(self) -> None:
        _limit_files(resource.RLIM_INFINITY)


def _limit_files(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture(params=["disk", "files"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk that can be filled and freed."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if request.param == "disk" and _run(mount):
        yield SmallDisk(folder)
        _run(["umount", "--lazy", str(folder)])
        return
    limited = SmallFiles(folder)
    yield limited
    limited.free()


def _run(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False

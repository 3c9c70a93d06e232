"""A full disk: answers go on, storing stops and says so, and all is well when space is back.

Two kinds: a small file system that is full, and files that may not grow, which needs no
right to mount.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from .running import Provider, Sidecar, config_for, start_sidecar, until

SIZE = 2 << 20
BLOCK = 1 << 12
KEPT = {"Cache-Control": "only-if-cached"}
BEFORE = [f"What was there before, item {number}?" for number in range(5)]
LONG = "and again " * 800
MEANWHILE = [f"What came while it was full, item {number}, {LONG}?" for number in range(40)]


class Disk(Protocol):
    """Where state goes, and how it runs out of space."""

    path: Path

    def fill(self, pid: int) -> None:
        """No byte more from now on."""
        ...

    def free(self, pid: int) -> None:
        """Space again."""
        ...


@dataclass
class SmallDisk:
    """A file system of its own in memory."""

    path: Path

    def fill(self, pid: int) -> None:
        """Write until there is no space left."""
        with (self.path / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(BLOCK))

    def free(self, pid: int) -> None:
        """Take it away again."""
        (self.path / "ballast").unlink()


@dataclass
class StiffFiles:
    """Any disk, where the process may make no file longer than the cache's longest is now."""

    path: Path

    def fill(self, pid: int) -> None:
        """The longest is the cache's journal, so that is what can't grow."""
        longest = max(file.stat().st_size for file in self.path.rglob("cache*"))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (longest, resource.RLIM_INFINITY))

    def free(self, pid: int) -> None:
        """As it was, where it still lives."""
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


@contextmanager
def small_disk(path: Path) -> Iterator[Disk]:
    """A tmpfs mounted here; where that isn't permitted, files that may not grow."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield StiffFiles(path)
        return
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@dataclass
class Scene:
    """A sidecar on a disk that can be filled."""

    sidecar: Sidecar
    disk: Disk

    def fill(self) -> None:
        """The disk is full."""
        self.disk.fill(self.sidecar.process.popen.pid)

    def free(self) -> None:
        """It has space again."""
        self.disk.free(self.sidecar.process.popen.pid)

    def again(self) -> Sidecar:
        """Killed and started anew."""
        self.sidecar.process.kill()
        self.sidecar = start_sidecar(self.sidecar.folder, self.sidecar.config)
        return self.sidecar


@contextmanager
def stiff_files(path: Path) -> Iterator[Disk]:
    """Files that may not grow, wherever that is."""
    yield StiffFiles(path)


Kind = Callable[[Path], AbstractContextManager[Disk]]


@contextmanager
def on_a_disk(kind: Kind, provider: Provider, folder: Path) -> Iterator[Scene]:
    """A sidecar with some answers on disk already. What it says goes to another disk."""
    provider.forget()
    place = folder / "disk"
    place.mkdir()
    with kind(place) as disk:
        config = config_for(provider, folder, {"state_dir": str(place / "state")})
        scene = Scene(start_sidecar(folder / "run", config), disk)
        try:
            for question in BEFORE:
                assert scene.sidecar.ask(question).status == 200
            scene.sidecar.flush()
            overfill(scene)
            yield scene
        finally:
            scene.sidecar.process.kill()


def overfill(scene: Scene) -> None:
    """Ask until the disk has refused something."""
    scene.fill()
    for question in MEANWHILE:
        assert scene.sidecar.ask(question).status == 200
    until(lambda: not scene.sidecar.cache["store_ok"], "a write that failed")


@pytest.fixture(scope="module", params=[small_disk, stiff_files], ids=lambda kind: kind.__name__)
def full(
    request: pytest.FixtureRequest,
    shared_provider: Provider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """One that is full and stays so."""
    folder = tmp_path_factory.mktemp("full")
    with on_a_disk(request.param, shared_provider, folder) as scene:
        yield scene


@pytest.fixture
def scene(shared_provider: Provider, tmp_path: Path) -> Iterator[Scene]:
    """One that is full until the test frees it."""
    with on_a_disk(small_disk, shared_provider, tmp_path) as scene:
        yield scene


def test_requests_are_answered_as_before(full: Scene, provider: Provider) -> None:
    """Misses by the provider, repeats from memory, old answers from where they are."""
    assert all(full.sidecar.ask(q).cache == "exact" for q in (*MEANWHILE, *BEFORE))
    assert full.sidecar.ask("Who else is there?").status == 200
    assert provider.calls == 1


def test_the_process_stays_ready_and_says_once_what_is_wrong(full: Scene) -> None:
    """One line for the cache, at most one for the ledger, however many writes fail."""
    told = full.sidecar.process.said
    assert told.count("can't write the cache") == 1
    assert told.count("request ledger can't be used") <= 1
    assert "Traceback" not in told
    assert full.sidecar.admin("GET", "/readyz").status == 200


def test_status_tells_it(full: Scene) -> None:
    """The disk refuses, and entries wait for it."""
    cache = full.sidecar.cache
    assert not cache["store_ok"]
    assert cache["pending_writes"] > 0


def test_all_that_waited_is_written_when_space_is_back(scene: Scene) -> None:
    """Without a restart; and after one it is all there."""
    scene.free()
    until(lambda: scene.sidecar.cache["store_ok"], "writing again")
    scene.sidecar.flush()
    assert "writes to" in scene.sidecar.process.said
    sidecar = scene.again()
    assert all(sidecar.ask(q, KEPT).cache == "exact" for q in (*BEFORE, *MEANWHILE))


def test_a_start_on_a_full_disk_serves_and_spoils_nothing(scene: Scene) -> None:
    """Killed and started: SQLite may find no room for its journal's index, so what is there
    may have to wait for the next start; what comes lives in memory.
    """
    sidecar = scene.again()
    assert [sidecar.ask("Who came in spite of it?").cache for _ in range(2)] == ["miss", "exact"]
    assert not [word for word in ("damaged", "Traceback") if word in sidecar.process.said]
    scene.free()
    sidecar = scene.again()
    assert all(sidecar.ask(question, KEPT).cache == "exact" for question in BEFORE)


def test_a_purge_of_a_full_disk_holds_after_a_restart(scene: Scene) -> None:
    """What was ordered gone must not come back for lack of space."""
    scene.sidecar.purge(all=True)
    scene.free()
    sidecar = scene.again()
    assert all(sidecar.ask(question, KEPT).status == 504 for question in BEFORE)

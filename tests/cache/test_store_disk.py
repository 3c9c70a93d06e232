"""A store and its disk: full, damaged beneath it, measured, and given back."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.cache.commands import FileLost, Save
from sidecar.cache.entry import Selector
from sidecar.cache.reader import Flaw
from sidecar.cache.slots import Place
from sidecar.cache.store import EntryStore
from tests.cache.conftest import SmallDisk
from tests.cache.making import break_file, entry, noise
from tests.cache.storing import open_store, save


def _size(path: Path) -> int:
    return path.stat().st_size


async def test_full_disk_is_survived(
    small_disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk writing stops with one line, reading goes on, and space is used again."""
    caplog.set_level(logging.WARNING)
    async with open_store(small_disk.folder / "cache.sqlite") as (store, _):
        store.save(save(1))
        assert await store.flush()
        small_disk.fill()
        for row in range(2, 40):
            store.save(save(row, text=noise(row, 20_000)))
        assert not await store.flush()
        assert not await store.flush()
        assert not store.status.ok
        assert not store.save(save(50))
        assert await store.read([Place(1, entry(1).key)]) == [entry(1)]
        assert len(caplog.records) == 1
        small_disk.free()
        for row in range(20, 40):
            store.drop(row, 0)
        assert await _flushed(store)
        assert store.status.ok
        assert await store.read([Place(2, entry(2).key)]) == [entry(2, text=noise(2, 20_000))]


async def _flushed(store: EntryStore) -> bool:
    """Freed space may hold the queue in parts."""
    return any([await store.flush() for _ in range(3)])


async def test_start_on_a_full_disk(
    small_disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the file can't even be opened the store starts all the same, and once there is
    space it writes; what was on disk before is there after the next start.
    """
    path = small_disk.folder / "cache.sqlite"
    async with open_store(path) as (store, _):
        store.save(save(1))
    small_disk.fill()
    async with open_store(path) as (store, heard):
        assert not store.save(save(heard.first_row, user="late"))
        assert not await store.flush()
        assert len(caplog.records) == 1
        small_disk.free()
        assert await store.flush()
        late = heard.first_row
    async with open_store(path) as (_, heard):
        assert [listed.place.row for listed in heard.listed] == [1, late]


async def test_purge_on_a_full_disk_deletes_the_file(small_disk: SmallDisk) -> None:
    """What was ordered gone is gone, though the disk has no room for the order itself."""
    path = small_disk.folder / "cache.sqlite"
    async with open_store(path) as (store, heard):
        for row in range(1, 20):
            store.save(save(row, text=noise(row, 2000), user="ann" if row % 2 else "bob"))
        await store.flush()
        small_disk.fill()
        store.save(save(50, text=noise(50, 900_000), user="ann"))
        assert not await store.flush()
        await store.forget(Selector("user", "ann"), 60, dry_run=False)
        assert store.status.pending == 0
        small_disk.free()
        await store.flush()
    async with open_store(path) as (_, heard):
        assert all(listed.place.row % 2 == 0 for listed in heard.listed)
        assert 50 not in {listed.place.row for listed in heard.listed}


async def test_damage_met_while_running_is_set_aside(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that breaks beneath the store is put aside, and a fresh one written."""
    async with open_store(path) as (store, heard):
        store.save(save(1))
        await store.flush()
        break_file(path)
        store.drop(1, 0)
        store.save(save(2))
        assert await store.flush()
        assert FileLost() in heard.news
        assert await store.read([Place(2, entry(2).key)]) == [entry(2)]
        assert await store.read([Place(1, entry(1).key)]) == [Flaw.MISSING]
    assert len(list(path.parent.glob("*.damaged-*"))) >= 1
    assert len(caplog.records) == 1


async def test_directory_that_cannot_be_read_is_set_aside(path: Path) -> None:
    """Damage in a file too large to be checked whole is met when it is listed."""
    async with open_store(path) as (store, _):
        for row in range(1, 2000):
            store.save(save(row, text="x" * 40_000))
            if row % 500 == 0:
                await store.flush()
    assert _size(path) > 64 << 20
    raw_size = _size(path)
    with closing(sqlite3.connect(path)) as other:
        root = other.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'directory'")
        page = root.fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    async with open_store(path) as (store, heard):
        assert FileLost() in heard.news
        assert store.save(save(5000))
        assert await store.flush()
    assert _size(path) < raw_size / 10


async def test_disk_use_is_estimated_and_corrected(path: Path) -> None:
    """What is queued counts at once, at its estimate; once committed, at what it takes."""
    async with open_store(path, max_disk_bytes=1 << 20) as (store, _):
        empty = store.status.rows_bytes
        store.save(Save(1, entry(1), None, 500_000))
        assert store.status.rows_bytes >= empty
        await store.flush()
        assert store.status.rows_bytes < empty + 50_000
        store.save(Save(2, entry(2), None, 2_000_000))
        assert store.status.is_over


async def test_freed_pages_leave_the_file(path: Path) -> None:
    """A cache that shrank gives most of its disk back."""
    async with open_store(path) as (store, _):
        for row in range(1, 2000):
            store.save(save(row, text="x" * 3000))
        await store.flush()
        full = _size(path)
        for row in range(1, 2000):
            store.drop(row, 0)
        await store.flush()
    assert _size(path) < full / 2


async def test_vectors_of_a_broken_file_are_not_taken_for_none(path: Path) -> None:
    """That vectors can't be read is told apart from that there are none."""
    async with open_store(path) as (store, _):
        for row in range(1, 200):
            store.save(save(row))
        await store.flush()
    async with open_store(path) as (store, _):
        break_file(path)
        assert not (await store.vectors(0, 300, 1000)).ok
        assert not (await store.vectors_at([5])).ok
        assert await store.owners(0, 300, 1000) == []

import asyncio
import logging
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from sidecar.cache.commands import FileLost, News, Save, Saved
from sidecar.cache.entry import Selector
from sidecar.cache.reader import Flaw
from sidecar.cache.slots import Listed, Place
from sidecar.cache.store import EntryStore, NoStore, Store
from sidecar.clock import ManualClock
from sidecar.errors import ConfigError, SidecarError
from tests.cache.conftest import SmallDisk
from tests.cache.making import NOW, break_file, entry, noise, vector


class Heard:
    """What a store gave when it was opened, and what it told later."""

    def __init__(self) -> None:
        self.listed: list[Listed] = []
        self.news: list[News] = []
        self.first_row = 0


@asynccontextmanager
async def open_store(
    path: Path, *, max_disk_bytes: int = 1 << 30
) -> AsyncIterator[tuple[Store, Heard]]:
    """A store at work."""
    store = Store(path, embedding="mini", max_disk_bytes=max_disk_bytes, clock=ManualClock(NOW))
    heard = Heard()
    heard.first_row = await store.open(heard.listed.extend, heard.news.append)
    try:
        yield store, heard
    finally:
        await store.close()


def _save(row: int, **changes: object) -> Save:
    return Save(row, entry(row, **changes), vector(row).tobytes(), 1000)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)


def _size(path: Path) -> int:
    return path.stat().st_size


def _on_disk(path: Path) -> set[bytes]:
    return {file.read_bytes() for file in path.parent.iterdir()}


async def test_committed_entry_is_read_and_told(path: Path) -> None:
    """After a flush an entry can be read, and the tiers know that it is on disk."""
    async with open_store(path) as (store, heard):
        assert store.save(_save(1))
        assert await store.flush()
        assert await store.read([Place(1, entry(1).key)]) == [entry(1)]
        assert Saved([Place(1, entry(1).key)]) in heard.news


async def test_restart_lists_what_was_committed(path: Path) -> None:
    """The next start knows every entry and goes on after the last row."""
    async with open_store(path) as (store, _):
        for row in (1, 2, 3):
            store.save(_save(row))
        await store.flush()
    async with open_store(path) as (store, heard):
        assert {listed.place.row for listed in heard.listed} == {1, 2, 3}
        assert heard.first_row == 4
        chunk = await store.vectors(0, 4, 10)
        assert [row.vector for row in chunk.rows] == [vector(row).tobytes() for row in (1, 2, 3)]


async def test_copy_taken_at_any_moment_serves(path: Path, tmp_path: Path) -> None:
    """What is on disk after a flush is enough: nothing waits for an orderly end."""
    async with open_store(path) as (store, _):
        store.save(_save(1))
        await store.flush()
        shutil.copytree(path.parent, tmp_path / "copy")
    async with open_store(tmp_path / "copy" / path.name) as (_, heard):
        assert [listed.place.row for listed in heard.listed] == [1]


async def test_close_commits_what_is_queued(path: Path) -> None:
    """An orderly end loses nothing."""
    async with open_store(path) as (store, _):
        for row in range(1, 600):
            store.save(_save(row))
    async with open_store(path) as (_, heard):
        assert len(heard.listed) == 599


async def test_threads_end(path: Path) -> None:
    """After close no thread is left, and closing twice is fine."""
    before = threading.active_count()
    async with open_store(path) as (store, _):
        assert threading.active_count() > before
    await store.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("cache-")]


async def test_closed_store_answers(path: Path) -> None:
    """A call that comes after close gets a plain answer and doesn't hang."""
    async with open_store(path) as (store, _):
        pass
    assert await store.read([Place(1, entry(1).key)]) == [Flaw.UNREADABLE]
    assert not await asyncio.wait_for(store.flush(), 5)
    with pytest.raises(SidecarError):
        await store.forget(Selector("all"), 9, dry_run=False)


async def test_place_that_cannot_be_written_is_refused(path: Path) -> None:
    """At start an impossible place is the operator's error, in one line."""
    with pytest.raises(ConfigError, match="can't write the cache"):
        async with open_store(Path("/dev/null/cache.sqlite")):
            pass


async def test_forgotten_text_is_overwritten(path: Path) -> None:
    """After a purge the text is in no file: not in a free page, a journal or an old file."""
    secret = noise(3, 9000)
    _write(path, secret)
    async with open_store(path) as (store, _):
        store.save(_save(1, text=secret))
        store.save(_save(2, text="stays"))
        await store.flush()
        found = await store.forget(Selector("entry", entry(1).id), 9, dry_run=False)
        assert found == [Place(1, entry(1).key)]
        for content in _on_disk(path):
            assert secret[:30].encode() not in content
            assert secret[-30:].encode() not in content
        assert await store.read([Place(2, entry(2).key)]) == [entry(2, text="stays")]


async def test_dropped_text_is_overwritten(path: Path) -> None:
    """What expired or was replaced doesn't linger in free pages."""
    async with open_store(path) as (store, _):
        store.save(_save(1, text=noise(3, 9000)))
        await store.flush()
        store.drop(1, 0)
    for content in _on_disk(path):
        assert noise(3, 9000)[-30:].encode() not in content


async def test_purge_counts_what_is_queued(path: Path) -> None:
    """An entry that was queued before the purge doesn't survive it."""
    async with open_store(path) as (store, _):
        for row in range(1, 400):
            store.save(_save(row))
        found = await store.forget(Selector("tenant", "shop"), 400, dry_run=False)
        assert len(found) == 399
    async with open_store(path) as (_, heard):
        assert heard.listed == []


async def test_full_disk_is_survived(
    small_disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk writing stops with one line, reading goes on, and space is used again."""
    caplog.set_level(logging.WARNING)
    async with open_store(small_disk.folder / "cache.sqlite") as (store, _):
        store.save(_save(1))
        assert await store.flush()
        small_disk.fill()
        for row in range(2, 40):
            store.save(_save(row, text=noise(row, 20_000)))
        assert not await store.flush()
        assert not await store.flush()
        assert not store.status.ok
        assert not store.save(_save(50))
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
        store.save(_save(1))
    small_disk.fill()
    async with open_store(path) as (store, heard):
        assert not store.save(_save(heard.first_row, user="late"))
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
            store.save(_save(row, text=noise(row, 2000), user="ann" if row % 2 else "bob"))
        await store.flush()
        small_disk.fill()
        store.save(_save(50, text=noise(50, 900_000), user="ann"))
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
        store.save(_save(1))
        await store.flush()
        break_file(path)
        store.drop(1, 0)
        store.save(_save(2))
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
            store.save(_save(row, text="x" * 40_000))
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
        assert store.save(_save(5000))
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
            store.save(_save(row, text="x" * 3000))
        await store.flush()
        full = _size(path)
        for row in range(1, 2000):
            store.drop(row, 0)
        await store.flush()
    assert _size(path) < full / 2


@pytest.fixture(params=["file", "none"])
async def store(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[EntryStore]:
    """Every kind of store."""
    made: EntryStore = NoStore()
    if request.param == "file":
        made = Store(path, embedding="mini", max_disk_bytes=1 << 30, clock=ManualClock(NOW))
    await made.open(lambda listed: None, lambda news: None)
    yield made
    await made.close()


async def test_every_store_takes_entries(store: EntryStore) -> None:
    """An entry is accepted and flushed, and the store is well."""
    assert store.save(_save(1))
    assert await store.flush()
    assert (store.status.ok, store.status.pending, store.status.is_over) == (True, 0, False)


async def test_every_store_forgets(store: EntryStore) -> None:
    """After a purge a dry run finds nothing."""
    store.save(_save(1))
    store.drop(1, 1000)
    await store.forget(Selector("all"), 9, dry_run=False)
    assert await store.forget(Selector("all"), 9, dry_run=True) == []


async def test_every_store_says_what_it_misses(store: EntryStore) -> None:
    """There is no entry where none was put, and no vector."""
    assert await store.read([Place(1, entry().key)]) == [Flaw.MISSING]
    assert (await store.vectors(0, 9, 10)).rows == []

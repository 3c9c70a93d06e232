"""A store keeps what was committed, forgets what was ordered gone, and ends in order."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.cache.commands import Saved
from sidecar.cache.entry import Selector
from sidecar.cache.no_store import NoStore
from sidecar.cache.reader import Flaw
from sidecar.cache.slots import Place
from sidecar.cache.store import EntryStore, Store
from sidecar.clock import ManualClock
from sidecar.errors import ConfigError, SidecarError
from tests.cache.making import NOW, entry, noise, vector
from tests.cache.storing import open_store, save


def _write(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)


def _on_disk(path: Path) -> set[bytes]:
    return {file.read_bytes() for file in path.parent.iterdir()}


async def test_committed_entry_is_read_and_told(path: Path) -> None:
    """After a flush an entry can be read, and the tiers know that it is on disk."""
    async with open_store(path) as (store, heard):
        assert store.save(save(1))
        assert await store.flush()
        assert await store.read([Place(1, entry(1).key)]) == [entry(1)]
        assert Saved([Place(1, entry(1).key)]) in heard.news


async def test_restart_lists_what_was_committed(path: Path) -> None:
    """The next start knows every entry and goes on after the last row."""
    async with open_store(path) as (store, _):
        for row in (1, 2, 3):
            store.save(save(row))
        await store.flush()
    async with open_store(path) as (store, heard):
        assert {listed.place.row for listed in heard.listed} == {1, 2, 3}
        assert heard.first_row == 4
        chunk = await store.vectors(0, 4, 10)
        assert [row.vector for row in chunk.rows] == [vector(row).tobytes() for row in (1, 2, 3)]


async def test_copy_taken_at_any_moment_serves(path: Path, tmp_path: Path) -> None:
    """What is on disk after a flush is enough: nothing waits for an orderly end."""
    async with open_store(path) as (store, _):
        store.save(save(1))
        await store.flush()
        shutil.copytree(path.parent, tmp_path / "copy")
    async with open_store(tmp_path / "copy" / path.name) as (_, heard):
        assert [listed.place.row for listed in heard.listed] == [1]


async def test_close_commits_what_is_queued(path: Path) -> None:
    """An orderly end loses nothing."""
    async with open_store(path) as (store, _):
        for row in range(1, 600):
            store.save(save(row))
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
        store.save(save(1, text=secret))
        store.save(save(2, text="stays"))
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
        store.save(save(1, text=noise(3, 9000)))
        await store.flush()
        store.drop(1, 0)
    for content in _on_disk(path):
        assert noise(3, 9000)[-30:].encode() not in content


async def test_purge_counts_what_is_queued(path: Path) -> None:
    """An entry that was queued before the purge doesn't survive it."""
    async with open_store(path) as (store, _):
        for row in range(1, 400):
            store.save(save(row))
        found = await store.forget(Selector("tenant", "shop"), 400, dry_run=False)
        assert len(found) == 399
    async with open_store(path) as (_, heard):
        assert heard.listed == []


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
    assert store.save(save(1))
    assert await store.flush()
    assert (store.status.ok, store.status.pending, store.status.is_over) == (True, 0, False)


async def test_every_store_forgets(store: EntryStore) -> None:
    """After a purge a dry run finds nothing."""
    store.save(save(1))
    store.drop(1, 1000)
    await store.forget(Selector("all"), 9, dry_run=False)
    assert await store.forget(Selector("all"), 9, dry_run=True) == []


async def test_every_store_says_what_it_misses(store: EntryStore) -> None:
    """There is no entry where none was put, and no vector."""
    assert await store.read([Place(1, entry().key)]) == [Flaw.MISSING]
    assert (await store.vectors(0, 9, 10)).rows == []
    assert (await store.vectors_at([1, 2])).rows == []
    assert await store.owners(0, 9, 10) == []

"""The file of embeddings: private, sealed, set aside when damaged, and never in the way."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.cache.embeddings_store import EmbeddingStore, StoredVector
from sidecar.cache.entry import Selector
from sidecar.errors import SidecarError

KEY = b"k" * 32
VECTOR = StoredVector(KEY, b"[0.5]", "m", "m", "p", "t", "u", "", 1.0, 100.0)


async def opened(path: Path, max_bytes: int = 1 << 20) -> EmbeddingStore:
    """A store on this file."""
    store = EmbeddingStore(path, max_bytes=max_bytes)
    await store.open(now=2.0)
    return store


async def filled(path: Path) -> Path:
    """The file, with one vector in it and nobody at work on it."""
    store = await opened(path)
    store.put([VECTOR])
    await store.close()
    return path


def set_aside(folder: Path) -> list[Path]:
    """The damaged files that were kept, their journals not counted."""
    return [path for path in folder.glob("e.sqlite.damaged-*") if path.name[-4] != "-"]


def overwrite(path: Path) -> None:
    """Break the file under who has it open."""
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else reads what users asked."""
    path = await filled(tmp_path / "e.sqlite")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("column", ["vector", "tenant", "created_at", "seal"])
async def test_a_row_that_was_changed_is_no_vector(tmp_path: Path, column: str) -> None:
    """Whatever changed in it: its seal is broken."""
    path = await filled(tmp_path / "e.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE embeddings SET {column} = 7")  # noqa: S608
    store = await opened(path)
    assert await store.find([KEY], 2.0) == []
    store.put([VECTOR])
    assert await store.find([KEY], 2.0) == [VECTOR]
    await store.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
async def test_a_file_that_is_none_is_replaced(tmp_path: Path, content: bytes) -> None:
    """It is set aside, where it holds anything, and a new one takes its place."""
    path = tmp_path / "e.sqlite"
    path.write_bytes(content)
    store = await opened(path)
    store.put([VECTOR])
    assert await store.find([KEY], 2.0) == [VECTOR]
    await store.close()
    assert len(set_aside(tmp_path)) == bool(content)


async def test_tables_of_another_version_are_set_aside(tmp_path: Path) -> None:
    """Rather than read as what they are not."""
    path = await filled(tmp_path / "e.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    store = await opened(path)
    assert await store.find([KEY], 2.0) == []
    await store.close()
    assert set_aside(tmp_path)


async def test_damage_that_is_met_later_is_a_miss(tmp_path: Path) -> None:
    """The file is set aside, and what is stored next is kept again."""
    path = tmp_path / "e.sqlite"
    store = await opened(path, max_bytes=1 << 24)
    keys = [str(number).encode().ljust(32) for number in range(300)]
    for key in keys:  # more than SQLite keeps in memory
        store.put([replace(VECTOR, key=key, vector=b"1" * 20_000)])
    assert len(await store.find(keys, 2.0)) == 300
    overwrite(path)
    assert await store.find(keys, 2.0) == []
    assert set_aside(tmp_path)
    store.put([VECTOR])
    assert await store.find([KEY], 2.0) == [VECTOR]
    await store.close()


async def test_a_place_that_can_not_be_written_fails_nothing(tmp_path: Path) -> None:
    """It is said once; everything is a miss."""
    store = await opened(tmp_path / "missing" / "e.sqlite")
    assert store.failing
    store.put([VECTOR])
    assert await store.find([KEY], 2.0) == []
    (tmp_path / "missing").mkdir()
    store.put([VECTOR])
    assert await store.find([KEY], 2.0) == [VECTOR]
    assert not store.failing
    await store.close()


async def test_a_store_that_was_closed_is_empty(tmp_path: Path) -> None:
    """A request that ends after it must not fail for it."""
    store = await opened(tmp_path / "e.sqlite")
    await store.close()
    store.put([VECTOR])
    assert await store.find([KEY], 2.0) == []
    await store.close()


async def test_a_purge_that_can_not_be_done_is_an_error(tmp_path: Path) -> None:
    """Nobody may believe that something is gone which is still there."""
    store = await opened(tmp_path / "missing" / "e.sqlite")
    with pytest.raises(SidecarError):
        await store.forget(Selector("all"))
    await store.close()


async def test_a_purge_takes_what_was_set_aside_along(tmp_path: Path) -> None:
    """It may hold what was meant, and can't be searched; a dry run leaves it."""
    path = tmp_path / "e.sqlite"
    path.write_bytes(b"no database at all" * 100)
    store = await opened(path)
    await store.forget(Selector("user", "ada"), dry_run=True)
    assert set_aside(tmp_path)
    await store.forget(Selector("user", "ada"))
    assert not set_aside(tmp_path)
    await store.close()

"""A file that can't be used is never taken for an empty one; a damaged one is set aside."""

import sqlite3
from contextlib import closing

import pytest

from sidecar.errors import IdempotencyUnavailableError
from tests.idempotency.keeping import A, B, C, full_disk, kept, place_of_digest, swept


async def test_what_can_not_be_looked_up_is_not_taken_for_new(make, answer, path, caplog):
    """The client asked not to be answered twice. It is said once, and passes with its cause."""
    store = make()
    await store.put(A, answer())
    await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        store = make()
        for _ in range(2):
            with pytest.raises(IdempotencyUnavailableError) as caught:
                await store.get(A)
        other.execute("ROLLBACK")
    assert (caught.value.status, store.failing) == (503, True)
    assert caplog.text.count("can't be kept") == 1
    assert await store.get(A)
    assert not store.failing


async def test_what_can_not_be_kept_is_no_error(make, answer, path):
    """The answer has been paid for, and is given."""
    path.mkdir()
    assert await make().put(A, answer()) is False


async def test_a_closed_store_is_out_of_reach_and_nothing_worse(make):
    """Requests may still come while the process ends."""
    store = make()
    await store.close()
    with pytest.raises(IdempotencyUnavailableError):
        await store.get(A)


@pytest.mark.parametrize("damage", ["noise", "other table", "version"])
async def test_a_damaged_file_is_set_aside(make, answer, path, damage):
    """And a new one begins at once; what was in it is answered anew."""
    store = make()
    await store.put(A, answer())
    await store.close()
    if damage == "noise":
        path.write_bytes(b"no database at all " * 500)
    else:
        with closing(sqlite3.connect(path)) as file, file:
            file.execute({
                "other table": "ALTER TABLE answers RENAME COLUMN size TO bytes",
                "version": "PRAGMA user_version = 99",
            }[damage])  # fmt: skip
    store = make()
    assert await store.get(A) is None
    assert await store.put(A, answer())
    assert await store.get(A)
    assert list(path.parent.glob("answers.sqlite.damaged-*"))


@pytest.mark.parametrize(
    "change",
    [
        "head = '{}'",
        "body = x'00'",
        "asked = x'00'",
        "request_id = CAST(x'ff' AS TEXT)",
        "seal = x'00'",
        "place = x'00'",
    ],
)
async def test_a_damaged_answer_is_dropped_alone(make, answer, path, caplog, change):
    """It is not given, another may take its place, and the rest of the file serves."""
    store = make()
    for place in (A, B):
        await store.put(place, answer())
    await store.close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(f"UPDATE answers SET {change} WHERE tenant = 'shop' AND user = 'ann'")  # noqa: S608
    store = make()
    moved = change.startswith("place")
    asked = place_of_digest(b"\0") if moved else A
    assert await kept(store, asked, B) == [False, True]
    assert await store.put(A, answer(b"new"))
    assert (await store.get(A)).body == b"new"
    assert caplog.text.count("is damaged") == 1
    assert not list(path.parent.glob("*.damaged-*"))


async def test_a_table_lost_while_it_is_used_is_set_aside(make, answer, path):
    """The next try opens the file, and finds that it is not ours."""
    store = make()
    await store.put(A, answer())
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("ALTER TABLE answers RENAME COLUMN size TO bytes")
    assert await store.put(B, answer()) is False
    assert await kept(store, A, B) == [False, False]
    assert list(path.parent.glob("*.damaged-*"))


async def test_a_locked_file_is_no_damaged_one(make, answer, path):
    """It is not set aside for what may pass."""
    store = make()
    await store.put(A, answer())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await store.put(B, answer()) is False
        other.execute("ROLLBACK")
    assert await kept(store, A, B) == [True, False]
    assert not list(path.parent.glob("*.damaged-*"))


async def test_a_full_disk_is_no_error_and_passes(make, answer, path, caplog):
    """What was kept is still given; what comes is given and not kept; said once."""
    store = make()
    await store.put(A, answer())
    with full_disk(path):
        for place in (B, C):
            assert await store.put(place, answer(b"x" * 100_000)) is False
        assert await kept(store, A, B, C) == [True, False, False]
    assert await store.put(B, answer())
    assert "can't be kept" in caplog.text
    assert not list(path.parent.glob("*.damaged-*"))


async def test_a_purge_takes_what_was_set_aside_along(make, answer, path):
    """It holds answers that can't be selected; a dry run leaves it."""
    path.write_bytes(b"no database at all " * 500)
    store = make()
    await store.put(A, answer())
    for dry_run, left in ((True, 1), (False, 0)):
        await store.forget("user", "nobody", dry_run=dry_run)
        assert len(list(path.parent.glob("*.damaged-*"))) == left


async def test_expiry_survives_what_it_can_not_read(make, path, caplog):
    """It is said once, and requests find out for themselves."""
    path.mkdir()
    store = make()
    for _ in range(2):
        await swept(store)
    assert caplog.text.count("can't be kept") == 1

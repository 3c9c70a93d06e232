"""Answers on disk: kept for a day, and within bounds."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from sidecar.idempotency import store as module
from sidecar.idempotency.store import KEPT_S
from tests.idempotency.keeping import A, B, C, kept, on_disk, places, rows, swept


async def test_an_answer_comes_back_as_it_was(make, answer):
    """Head, body and what was asked; bytes of any kind."""
    store, given = make(), answer(bytes(range(256)))
    assert await store.get(A) is None
    assert await store.put(A, given)
    assert await store.get(A) == given
    assert await store.get(B) is None


async def test_it_survives_a_restart(make, answer):
    """The next process finds it, for its own client alone."""
    first = make()
    await first.put(A, answer())
    await first.close()
    assert await kept(make(), A, B) == [True, False]


async def test_nothing_is_made_before_the_first_key_comes(make, path):
    """Who uses no keys has no file."""
    store = make()
    assert await store.forget("all", "", dry_run=False) == 0
    await store.close()
    assert not path.exists()


async def test_after_a_day_it_is_forgotten(make, answer, clock):
    """Not a moment before; and then another answer may take its place."""
    store = make()
    await store.put(A, answer())
    clock.advance(KEPT_S - 1)
    assert await store.get(A)
    clock.advance(1)
    assert await store.get(A) is None
    await store.put(A, answer(b"new"))
    assert (await store.get(A)).body == b"new"


async def test_what_is_old_leaves_the_disk(make, answer, clock, path):
    """With the next answer that is kept."""
    store = make()
    for place in places(200):
        await store.put(place, answer())
    clock.advance(KEPT_S + 1)
    await store.put(A, answer())
    await store.close()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM answers").fetchone() == (1,)


@pytest.mark.parametrize(
    "limits", [{"max_rows": 3}, {"max_bytes": 3 * 1100}], ids=["rows", "bytes"]
)
async def test_beyond_the_bounds_the_oldest_goes(make, answer, clock, limits):
    """Also where a restart came between."""
    asked = places(6)
    store = make(**limits)
    for place in asked[:4]:
        clock.advance(1)
        await store.put(place, answer(b"x" * 1000))
    assert await kept(store, *asked[:4]) == [False, True, True, True]
    await store.close()
    store = make(**limits)
    clock.advance(1)
    await store.put(asked[4], answer(b"x" * 1000))
    assert await kept(store, *asked[:5]) == [False, False, True, True, True]


async def test_an_answer_put_again_is_counted_once(make, answer, clock):
    """Or the bounds would shrink from day to day."""
    store = make(max_rows=3)
    for _ in range(10):
        clock.advance(1)
        await store.put(A, answer())
    await store.put(B, answer())
    await store.put(C, answer())
    assert await kept(store, A, B, C) == [True, True, True]


async def test_what_is_too_large_is_not_kept(make, answer, caplog):
    """It says so, here and in the log, by the request's id; up to the bound it is."""
    store = make()
    assert not await store.put(A, answer(b"x" * (module.MAX_ANSWER_BYTES + 1)))
    assert await store.get(A) is None
    assert "req_1" in caplog.text
    assert await store.put(A, answer(b"x" * module.MAX_ANSWER_BYTES))


@pytest.mark.parametrize(
    ("field", "value", "matched", "left"),
    [
        ("tenant", "shop", 2, [False, False, True]),
        ("user", "ann", 2, [False, True, False]),
        ("all", "", 3, [False, False, False]),
        ("tenant", "nobody", 0, [True, True, True]),
        ("model", "gpt-4o", 0, [True, True, True]),
    ],
)
async def test_answers_can_be_forgotten(make, answer, field, value, matched, left, path):  # noqa: PLR0917
    """By whom they were given to, and then no byte of them is left; a dry run only counts."""
    store = make()
    for place in (A, B, C):
        await store.put(place, answer(b"canary-" + place.user.encode()))
    assert await store.forget(field, value, dry_run=True) == matched
    assert await kept(store, A, B, C) == [True, True, True]
    assert await store.forget(field, value, dry_run=False) == matched
    assert await kept(store, A, B, C) == left
    assert any(left) or b"canary" not in on_disk(path)


@pytest.mark.parametrize("restarts", [False, True])
async def test_no_byte_of_what_was_forgotten_is_left(make, answer, path, restarts):
    """Neither in the file nor in its journals; of others all is there."""
    store = make()
    for place in (A, B):
        await store.put(place, answer(b"canary-" + place.user.encode() + b"." * 20_000))
    if restarts:
        await store.close()
        store = make()
    await store.forget("user", "ann", dry_run=False)
    assert b"canary-ann" not in on_disk(path)
    assert b"canary-bob" in on_disk(path)


async def test_the_file_is_for_its_owner_only(make, answer, path):
    """It tells what was answered."""
    await make().put(A, answer())
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("field", "dry_run", "is_kept"),
    [("tenant", False, False), ("all", True, True), ("model", False, True)],
)
async def test_what_was_asked_before_a_purge_is_not_kept_after_it(
    make, answer, field, dry_run, is_kept
):
    """Whoever wanted it forgotten can't know that it was still being made."""
    store = make()
    generation = store.generation
    await store.forget(field, "shop", dry_run=dry_run)
    assert await store.put(A, answer(), generation) is is_kept
    assert await kept(store, A) == [is_kept]
    assert await store.put(A, answer(), store.generation)


async def test_what_is_over_leaves_the_disk_where_no_other_key_comes(make, answer, clock, path):
    """Also after a restart; what is not over stays."""
    store = make()
    await store.put(A, answer(b"canary-old"))
    clock.advance(KEPT_S / 2)
    await store.put(B, answer(b"canary-new"))
    await store.close()
    clock.advance(KEPT_S / 2)
    store = make()
    await swept(store)
    await store.close()
    assert b"canary-old" not in path.read_bytes()
    assert b"canary-new" in path.read_bytes()


async def test_expiry_goes_on_and_makes_no_file(make, answer, clock, path, tasks):
    """From time to time, whether or not the first time found anything."""
    store = make()
    tasks.start(store.expire(0.001), name="expiry")
    await asyncio.sleep(0.01)
    assert not path.exists()
    await store.put(A, answer())
    clock.advance(KEPT_S)
    while await asyncio.to_thread(rows, path):
        await asyncio.sleep(0.001)


async def test_what_leaves_before_its_time_is_told_once(make, answer, clock, caplog):
    """An operator can't know else that a day was promised in vain."""
    store = make(max_rows=2)
    for place in places(5):
        clock.advance(1)
        await store.put(place, answer())
    assert caplog.text.count("before 24 hours are over") == 1


async def test_what_is_over_leaves_without_a_word(make, answer, clock, caplog):
    """That is how it was meant."""
    store = make(max_rows=2)
    for place in places(5):
        clock.advance(KEPT_S / 2)
        await store.put(place, answer())
    assert not caplog.records


async def test_many_at_once_are_kept_all(make, answer):
    """One thread takes them in turn."""
    store, asked = make(), places(50)
    assert all(await asyncio.gather(*(store.put(place, answer()) for place in asked)))
    assert all(await kept(store, *asked))

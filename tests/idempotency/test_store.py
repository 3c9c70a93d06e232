"""Answers on disk: kept for a day, within bounds, and never taken for absent when unreadable."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from sidecar.errors import IdempotencyUnavailableError
from sidecar.idempotency import store as module
from sidecar.idempotency.recorded import place_of
from sidecar.idempotency.store import KEPT_S, AnswerStore

A, B = place_of("shop", "ann", "", "a"), place_of("shop", "bob", "", "b")
C = place_of("other", "ann", "", "c")


def places(count: int):
    """Places of one tenant."""
    return [place_of("t", "", "", str(number)) for number in range(count)]


async def kept(store: AnswerStore, *asked) -> list[bool]:
    """Which of the places have an answer."""
    return [await store.get(place) is not None for place in asked]


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


async def test_what_is_too_large_is_not_kept(make, answer):
    """It says so, and nothing else is lost for it."""
    store = make()
    assert not await store.put(A, answer(b"x" * (module.MAX_ANSWER_BYTES + 1)))
    assert await store.get(A) is None


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
    if not any(left):
        assert b"canary" not in path.read_bytes()


async def test_the_file_is_for_its_owner_only(make, answer, path):
    """It tells what was answered."""
    await make().put(A, answer())
    assert path.stat().st_mode & 0o777 == 0o600


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


@pytest.mark.parametrize("damage", ["noise", "no table", "version", "head"])
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
                "no table": "DROP TABLE answers",
                "version": "PRAGMA user_version = 99",
                "head": "UPDATE answers SET head = 'x'",
            }[damage])  # fmt: skip
    store = make()
    assert await store.get(A) is None
    assert await store.put(A, answer())
    assert await store.get(A)
    assert list(path.parent.glob("answers.sqlite.damaged-*"))


async def test_many_at_once_are_kept_all(make, answer):
    """One thread takes them in turn."""
    store, asked = make(), places(50)
    assert all(await asyncio.gather(*(store.put(place, answer()) for place in asked)))
    assert all(await kept(store, *asked))

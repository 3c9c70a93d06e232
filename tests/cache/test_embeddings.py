"""The exact cache of embeddings: what is found, what leaves, and what a purge leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.cache.embeddings import EmbeddingCache
from sidecar.cache.embeddings_store import StoredVector
from sidecar.cache.entry import Selector
from sidecar.clock import ManualClock

Opening = Callable[..., Awaitable[EmbeddingCache]]


def vector(clock: ManualClock, name: str, ttl_s: float = 60.0, **changes: Any) -> StoredVector:
    """A vector that is worth keeping."""
    fields: dict[str, Any] = {
        "key": name.encode().ljust(32), "vector": b"[0.5]", "model": "asked",
        "answered_model": "answered", "provider": "p", "tenant": "t", "user": "u",
        "tags": "\ndocs\nfaq\n", "created_at": clock.now(), "expires_at": clock.now() + ttl_s,
    }  # fmt: skip
    return StoredVector(**{**fields, **changes})


@pytest.fixture
async def opened(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Opening]:
    """Open a cache on the test's file; `path` None keeps it in memory alone."""
    async with AsyncExitStack() as stack:

        async def start(path: Path | None = tmp_path / "e.sqlite", **caps: int) -> EmbeddingCache:
            cache = EmbeddingCache(path, clock, **caps)
            await cache.open()
            stack.push_async_callback(cache.close)
            return cache

        yield start


@pytest.mark.parametrize("on_disk", [True, False])
async def test_what_was_put_is_found(
    opened: Opening, clock: ManualClock, tmp_path: Path, on_disk: bool
) -> None:
    """And nothing else."""
    cache = await opened(tmp_path / "e.sqlite" if on_disk else None)
    a = vector(clock, "a")
    assert cache.put([a], cache.generation)
    assert await cache.find([a.key, vector(clock, "b").key]) == {a.key: a}


async def test_a_restart_keeps_it(opened: Opening, clock: ManualClock) -> None:
    """Field by field."""
    first = await opened()
    kept = [vector(clock, name, vector=name.encode() * 500) for name in "abc"]
    first.put(kept, 0)
    await first.close()
    second = await opened()
    assert len(second) == 0
    assert await second.find([each.key for each in kept]) == {each.key: each for each in kept}
    assert len(second) == 3


async def test_many_keys_are_looked_up_at_once(opened: Opening, clock: ManualClock) -> None:
    """More than SQLite takes in one question."""
    cache = await opened(max_memory_bytes=0)
    kept = [vector(clock, str(number)) for number in range(1300)]
    cache.put(kept, 0)
    assert len(await cache.find([each.key for each in kept])) == 1300


async def test_what_expired_is_not_found(opened: Opening, clock: ManualClock) -> None:
    """In memory, on disk, and after a restart."""
    cache = await opened()
    a = vector(clock, "a", ttl_s=10)
    cache.put([a], 0)
    clock.advance(9.9)
    assert await cache.find([a.key])
    clock.advance(0.2)
    assert await cache.find([a.key]) == {}
    assert cache.memory_bytes == 0
    await cache.close()
    assert await (await opened()).find([a.key]) == {}


async def test_memory_is_bounded_and_the_disk_keeps_the_rest(
    opened: Opening, clock: ManualClock
) -> None:
    """What was used least lately leaves memory first, and is still found."""
    kept = [vector(clock, name, vector=b"1" * 1000) for name in "abc"]
    cache = await opened(max_memory_bytes=2 * kept[0].size)
    cache.put(kept[:2], 0)
    await cache.find([kept[0].key])
    cache.put(kept[2:], 0)
    assert [each.key for each in kept if each.key in cache._kept] == [kept[0].key, kept[2].key]
    assert cache.memory_bytes == 2 * kept[0].size
    assert len(await cache.find([each.key for each in kept])) == 3


async def test_the_disk_is_bounded(opened: Opening, clock: ManualClock) -> None:
    """The oldest rows go first."""
    cache = await opened(max_memory_bytes=0, max_disk_bytes=20_000)
    keys = []
    for number in range(40):
        clock.advance(0.1)
        made = vector(clock, str(number), vector=b"1" * 700)
        cache.put([made], 0)
        keys.append(made.key)
    found = await cache.find(keys)
    assert 10 <= len(found) <= 20
    assert set(found) == set(keys[-len(found) :])


@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("all", "", 0), ("tenant", "t", 1), ("tenant", "none", 2), ("user", "u", 1),
        ("model", "asked", 1), ("model", "answered", 1), ("tag", "faq", 1), ("tag", "fa", 2),
        ("prompt", "x", 2), ("entry", "x", 2),
    ],
)  # fmt: skip
async def test_a_purge_forgets_what_it_means(
    opened: Opening, clock: ManualClock, field: str, value: str, left: int
) -> None:
    """In memory and on disk alike; a dry run only counts."""
    cache = await opened()
    other = vector(clock, "b", tenant="x", user="x", model="x", answered_model="x", tags="\nfaqs\n")
    both = [vector(clock, "a"), other]
    cache.put(both, 0)
    selector = Selector(field, value)
    assert await cache.forget(selector, dry_run=True) == 2 - left
    assert len(await cache.find([each.key for each in both])) == 2
    assert await cache.forget(selector) == 2 - left
    assert len(await cache.find([each.key for each in both])) == left
    await cache.close()
    assert len(await (await opened()).find([each.key for each in both])) == left


async def test_what_only_the_disk_has_is_purged_too(opened: Opening, clock: ManualClock) -> None:
    """And counted."""
    cache = await opened(max_memory_bytes=0)
    cache.put([vector(clock, "a")], 0)
    assert await cache.forget(Selector("tenant", "t")) == 1
    assert await cache.find([vector(clock, "a").key]) == {}


async def test_what_was_asked_for_before_a_purge_is_not_stored_after_it(
    opened: Opening, clock: ManualClock
) -> None:
    """Its answer belongs to what was to be forgotten."""
    cache = await opened()
    before = cache.generation
    await cache.forget(Selector("all"))
    assert not cache.put([vector(clock, "a")], before)
    assert await cache.find([vector(clock, "a").key]) == {}


async def test_a_purge_overtakes_a_look_up_under_way(opened: Opening, clock: ManualClock) -> None:
    """What the disk gave before the purge is not given, nor kept, after it."""
    cache = await opened(max_memory_bytes=0)
    cache.put([vector(clock, "a")], 0)
    finding = asyncio.create_task(cache.find([vector(clock, "a").key]))
    await asyncio.sleep(0)  # the look-up is on its way to the disk
    await cache.forget(Selector("all"))
    assert await finding == {}

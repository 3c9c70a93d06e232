"""What the tiers have on disk: found after a restart, read from there, missed once it is lost."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from sidecar.clock import ManualClock
from sidecar.errors import ConfigError
from tests.cache.making import (
    ANYTHING,
    HOUR,
    break_file,
    entry,
    near,
    noise,
    opened,
    vector,
)


async def test_body_on_disk_is_read(path: Path) -> None:
    """An entry whose body left memory is served from disk, by key and by meaning."""
    async with opened(path, max_memory_bytes=100_000) as cache:
        for word in range(40):
            cache.put(entry(word, text=noise(word, 5000)), vector(word))
            await cache.flush()
        assert cache.stats().resident < cache.stats().entries == 40
        for word in range(40):
            kept = entry(word, text=noise(word, 5000))
            assert await cache.get(kept.key) == kept
            assert await near(cache, word) == [noise(word, 5000)]
        assert cache.stats().memory_bytes <= 100_000


async def test_smaller_caps_hold_after_a_restart(path: Path) -> None:
    """A cap that was lowered is kept from the start on."""
    async with opened(path) as cache:
        for word in range(30):
            cache.put(entry(word), vector(word))
    async with opened(path, max_entries=5, filled=False) as cache:
        assert cache.stats().entries == 5
        await cache.filled()
        assert (cache.stats().entries, cache.stats().vectors) == (5, 5)


async def test_restart_serves_both_tiers(path: Path) -> None:
    """What was committed is found again, by key and by meaning, with every field."""
    kept = entry(tags=("a", "b\nc"), prompt="p@1", user="")
    async with opened(path) as cache:
        cache.put(kept, vector())
    async with opened(path) as cache:
        assert await cache.get(kept.key) == kept
        (found,) = await cache.nearest(kept.scope, vector(), k=1, floor=0.9)
        assert found.entry == kept


async def test_similarity_survives_a_restart(path: Path) -> None:
    """The same pair has the same similarity to the bit, before a restart and after."""
    similarities = []
    for _ in range(2):
        async with opened(path) as cache:
            cache.put(entry(), vector("a") * np.float32(1.7)) if not similarities else None
            (found,) = await cache.nearest(entry().scope, vector("b"), k=1, floor=ANYTHING)
            similarities.append(found.similarity)
    assert similarities[0] == similarities[1]


async def test_exact_tier_is_complete_before_vectors_are(path: Path) -> None:
    """When `open` returns every key is known, and the vectors come in behind."""
    async with opened(path) as cache:
        for word in range(600):
            cache.put(entry(word), vector(word))
    async with opened(path, filled=False) as cache:
        assert (cache.stats().entries, cache.stats().loading) == (600, True)
        assert await cache.get(entry(599).key) == entry(599)
        await cache.filled()
        assert (cache.stats().vectors, cache.stats().loading) == (600, False)


async def test_vectors_of_another_model_are_not_searched(path: Path) -> None:
    """After a change of the embedding model entries are found by equality alone."""
    async with opened(path, embedding_model="mini") as cache:
        cache.put(entry(), vector())
    async with opened(path, embedding_model="other") as cache:
        assert await near(cache, floor=ANYTHING) == []
        assert await cache.get(entry().key) == entry()


async def test_model_that_changed_its_dimension_is_another(path: Path) -> None:
    """Vectors of another length are left out, whatever the model is called."""
    async with opened(path) as cache:
        cache.put(entry(), vector())
    async with opened(path, dimension=8) as cache:
        assert (cache.stats().vectors, cache.stats().entries) == (0, 1)


async def test_impossible_place_is_the_operators_error() -> None:
    """Where the file can't be made, the cache doesn't start, and says so in one line."""
    with pytest.raises(ConfigError, match="can't write the cache"):
        async with opened(Path("/dev/null/cache.sqlite")):
            pass


async def test_many_readers_at_once(path: Path) -> None:
    """Concurrent reads of bodies on disk each get their own answer."""
    async with opened(path) as cache:
        for word in range(50):
            cache.put(entry(word), vector(word))
    async with opened(path) as cache:
        words = [word % 50 for word in range(300)]
        found = await asyncio.gather(*(cache.get(entry(word).key) for word in words))
        assert found == [entry(word) for word in words]


async def test_read_that_was_overtaken_gives_the_newer(path: Path) -> None:
    """An entry replaced while its body was being read is not served in its old form."""
    async with opened(path) as cache:
        cache.put(entry(text="old"), None)
    async with opened(path) as cache:
        reading = asyncio.ensure_future(cache.get(entry().key))
        await asyncio.sleep(0)
        cache.put(entry(text="new"), None)
        assert await reading == entry(text="new")
        assert await cache.get(entry().key) == entry(text="new")


async def test_entry_that_expires_while_it_is_read_is_a_miss(
    path: Path, clock: ManualClock
) -> None:
    """The time counts at which an answer would be given, not at which it was asked for."""
    async with opened(path, clock=clock) as cache:
        cache.put(entry(), None)
    async with opened(path, clock=clock) as cache:
        reading = asyncio.ensure_future(cache.get(entry().key))
        await asyncio.sleep(0)
        clock.advance(HOUR)
        assert await reading is None
        assert cache.stats().evictions == {"expired": 1}


async def test_lost_file_costs_what_was_on_disk_alone(path: Path) -> None:
    """When the file breaks beneath a running cache, what is in memory goes on being served,
    the rest is a miss, and new entries are kept in a fresh file.
    """
    async with opened(path) as cache:
        for word in range(40):
            cache.put(entry(word), vector(word))
    async with opened(path) as cache:
        for word in range(5):
            assert await cache.get(entry(word).key)
        break_file(path)
        # Replacing makes the writer look for the older row.
        cache.put(entry(39, text="new"), vector(39))
        assert await cache.flush()
        for _ in range(50):
            await asyncio.sleep(0)
        assert (cache.stats().entries, cache.stats().vectors) == (6, 6)
        assert cache.stats().evictions == {"damaged": 34}
        assert await cache.get(entry(4).key) == entry(4)
        assert await near(cache, 30) == []
    async with opened(path) as cache:
        assert await cache.get(entry(39).key) == entry(39, text="new")
        assert cache.stats().entries == 1

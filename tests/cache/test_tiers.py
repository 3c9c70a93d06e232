"""Both tiers as one: what was put is found at once, until it expires or is evicted."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sidecar.cache.entry import Candidate
from sidecar.clock import ManualClock
from sidecar.events import EntriesEvicted, Event
from tests.cache.making import (
    ANYTHING,
    DIMENSION,
    HOUR,
    NOW,
    digest,
    entry,
    near,
    noise,
    opened,
    vector,
)


async def test_entry_is_found_at_once(path: Path) -> None:
    """An entry is found by key and by meaning as soon as `put` returns."""
    async with opened(path) as cache:
        assert cache.put(entry(), vector())
        assert await cache.get(entry().key) == entry()
        (found,) = await cache.nearest(entry().scope, vector(), k=4, floor=0.9)
        assert found == Candidate(entry(), pytest.approx(1.0, abs=1e-5))


async def test_unknown_key_is_a_miss(path: Path) -> None:
    """What was never put is not found."""
    async with opened(path) as cache:
        assert await cache.get(digest("unknown")) is None
        assert await near(cache) == []


async def test_scopes_never_meet(path: Path) -> None:
    """The same question in another scope is another question."""
    async with opened(path) as cache:
        cache.put(entry("a", scope="one"), vector("a"))
        assert await near(cache, "a", scope="two", floor=ANYTHING) == []


async def test_nearest_comes_first_and_floor_holds(path: Path) -> None:
    """Candidates are ordered by similarity, and none is below the floor."""
    async with opened(path) as cache:
        close = vector("a") + np.float32(0.3) * vector("b")
        cache.put(entry("close"), close)
        cache.put(entry("same"), vector("a"))
        cache.put(entry("far"), vector("c"))
        assert await near(cache, "a", floor=0.8) == ["answer same", "answer close"]
        assert await near(cache, "a", floor=0.8, k=1) == ["answer same"]


async def test_newer_answer_replaces_older(path: Path) -> None:
    """A key has one entry, in both tiers, also after a restart."""
    async with opened(path) as cache:
        cache.put(entry(text="old"), vector())
        cache.put(entry(text="new"), vector())
        assert await near(cache) == ["new"]
    async with opened(path) as cache:
        assert await cache.get(entry().key) == entry(text="new")
        assert await near(cache) == ["new"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
async def test_vector_without_direction_is_left_out(path: Path, bad: float) -> None:
    """NaN is never indexed nor stored; the entry is found by equality alone."""
    async with opened(path) as cache:
        assert cache.put(entry(), np.full(DIMENSION, bad, dtype=np.float32))
        assert (cache.stats().vectors, await cache.get(entry().key)) == (0, entry())
    async with opened(path) as cache:
        assert (cache.stats().vectors, cache.stats().entries) == (0, 1)
        assert await near(cache, floor=ANYTHING) == []


async def test_vector_of_wrong_length_is_left_out(path: Path) -> None:
    """A vector that another model made is no error, and not indexed."""
    async with opened(path) as cache:
        assert cache.put(entry(), vector(dimension=3))
        assert (cache.stats().vectors, await cache.get(entry().key)) == (0, entry())


async def test_expired_entry_is_a_miss(path: Path, clock: ManualClock) -> None:
    """At its time an entry is gone from both tiers, without a sweep."""
    async with opened(path, clock=clock) as cache:
        cache.put(entry(), vector())
        clock.advance(HOUR - 1)
        assert await near(cache) == ["answer a"]
        clock.advance(1)
        assert await near(cache) == []
        assert await cache.get(entry().key) is None
        assert cache.stats().entries == 0


async def test_expired_neighbours_do_not_crowd_out_live_ones(
    path: Path, clock: ManualClock
) -> None:
    """The k nearest are the k nearest that are alive."""
    async with opened(path, clock=clock) as cache:
        for word in range(8):
            cache.put(entry(word, expires_at=NOW + 1), vector("a"))
        cache.put(entry("alive"), vector("a"))
        clock.advance(2)
        assert await near(cache, k=2) == ["answer alive"]


async def test_expired_entry_is_not_taken_in(path: Path) -> None:
    """What is over already is not kept."""
    async with opened(path) as cache:
        assert not cache.put(entry(expires_at=NOW), vector())
        assert cache.stats().entries == 0


async def test_sweep_frees_every_tier(path: Path, clock: ManualClock, told: list[Event]) -> None:
    """A sweep drops what expired from memory, index and disk, and says how many."""
    async with opened(path, clock=clock, told=told) as cache:
        for word in range(1200):
            cache.put(entry(word, expires_at=NOW + (word % 2) * HOUR + 1), vector(word))
        await cache.flush()
        clock.advance(2)
        assert await cache.sweep() == 600
        await cache.flush()
        stats = cache.stats()
        assert (stats.entries, stats.vectors, stats.resident) == (600, 600, 600)
        assert stats.evictions == {"expired": 600}
        assert _rows(path) == (600, 600)
    assert sum(event.count for event in told if isinstance(event, EntriesEvicted)) == 600


def _rows(path: Path) -> tuple[int, int]:
    """How many entries and vectors are on disk."""
    with closing(sqlite3.connect(path)) as other:
        entries = other.execute("SELECT count(*) FROM entries").fetchone()[0]
        return entries, other.execute("SELECT count(*) FROM vectors").fetchone()[0]


async def test_eviction_reaches_every_tier(path: Path, told: list[Event]) -> None:
    """What is over the number of entries leaves memory, index and disk."""
    async with opened(path, told=told, max_entries=10) as cache:
        for word in range(50):
            cache.put(entry(word), vector(word))
        await cache.flush()
        stats = cache.stats()
        assert (stats.entries, stats.vectors, _rows(path)) == (10, 10, (10, 10))
        assert stats.evictions == {"entries": 40}
    assert sum(event.count for event in told if isinstance(event, EntriesEvicted)) == 40


async def test_used_entry_outlives_others(path: Path) -> None:
    """Of like entries the one that is asked for stays, by key or by meaning."""
    async with opened(path, max_entries=10) as cache:
        for word in ("by key", "by meaning"):
            cache.put(entry(word), vector(word))
        for word in range(50):
            cache.put(entry(word), vector(word))
            assert await cache.get(entry("by key").key)
            assert await near(cache, "by meaning")


async def test_disk_is_bounded(path: Path) -> None:
    """However much is put, the files stay under the cap for the disk."""
    cap = 1 << 20
    async with opened(path, max_disk_bytes=cap) as cache:
        for word in range(400):
            cache.put(entry(word, text=noise(word, 20_000)), vector(word))
            if word % 20 == 0:
                await cache.flush()
                assert cache.stats().disk_bytes <= cap
        await cache.flush()
        stats = cache.stats()
        assert stats.disk_bytes <= cap
        assert stats.evictions["disk"] > 300
        assert stats.entries > 10


async def test_memory_alone_works(clock: ManualClock) -> None:
    """Without a path there is no file, and everything else."""
    async with opened(None, clock=clock, max_entries=3) as cache:
        for word in range(5):
            assert cache.put(entry(word), vector(word))
        assert await cache.flush()
        assert cache.stats().entries == 3
        assert await near(cache, 4) == ["answer 4"]
        clock.advance(HOUR)
        assert await cache.sweep() == 3


async def test_stats_tell_what_there_is(path: Path) -> None:
    """The figures follow what was put."""
    async with opened(path) as cache:
        cache.put(entry("a"), vector("a"))
        cache.put(entry("b"), None)
        assert cache.stats().pending_writes <= 2
        await cache.flush()
        stats = cache.stats()
        assert (stats.entries, stats.vectors, stats.resident, stats.pending_writes) == (2, 1, 2, 0)
        assert stats.store_ok
        assert stats.memory_bytes > 1000
        assert stats.disk_bytes > 4096


async def test_closed_cache_keeps_nothing(path: Path) -> None:
    """A call that comes after close is a miss or a refusal, never an error."""
    async with opened(path) as cache:
        cache.put(entry(), None)
    assert not cache.put(entry("b"), vector())
    assert await cache.get(entry("c").key) is None

"""Under a cap on memory the vectors of idle scopes live on disk, until they are asked for."""

import asyncio
from pathlib import Path

import pytest

from sidecar.cache.entry import Selector
from sidecar.cache.tiers import Cache
from sidecar.clock import ManualClock
from tests.cache.making import ANYTHING, HOUR, NOW, digest, entry, near, opened, vector

CAP = 400_000
SCOPES = 60
WORDS = range(600)


def _scope(word: int) -> str:
    return str(word % SCOPES)


async def _put_all(cache: Cache) -> None:
    for word in WORDS:
        cache.put(entry(word, scope=_scope(word)), vector(word))
        if word % 50 == 49:
            await cache.flush()
            await asyncio.sleep(0)  # the tiers hear what was saved
            assert cache.stats().memory_bytes <= CAP


async def _send_away(cache: Cache, scope: str) -> None:
    """Ask for every other scope, which are more than memory holds, so that this one leaves."""
    for word in WORDS[:SCOPES]:
        if _scope(word) != scope:
            await near(cache, word, scope=_scope(word))


async def test_no_entry_is_lost_to_vectors(path: Path) -> None:
    """Idle vectors make room; every entry is found by equality, and by meaning once asked."""
    async with opened(path, max_memory_bytes=CAP) as cache:
        await _put_all(cache)
        stats = cache.stats()
        assert (stats.entries, stats.evictions) == (600, {})
        assert 0 < stats.vectors < 600
        assert stats.scopes_evicted > 0
        assert 0 < stats.idle_scopes < SCOPES
        for word in (*WORDS[::7], 1, 1):
            assert await cache.get(entry(word, scope=_scope(word)).key)
            assert await near(cache, word, scope=_scope(word)) == [f"answer {word}"]
            assert cache.stats().memory_bytes <= CAP
        assert (cache.stats().entries, cache.stats().evictions) == (600, {})
        assert cache.stats().scopes_refilled > 0


async def test_all_of_a_scope_comes_back(path: Path) -> None:
    """A scope that left has all its entries again with the first question, and no others."""
    async with opened(path, max_memory_bytes=CAP) as cache:
        await _put_all(cache)
        await _send_away(cache, "7")
        found = await cache.nearest(digest("7"), vector("x"), k=99, floor=ANYTHING)
        assert {each.entry.id for each in found} == {entry(word).id for word in WORDS[7::SCOPES]}


async def test_scope_that_is_asked_for_stays(path: Path) -> None:
    """What is used does not leave, whatever comes."""
    async with opened(path, max_memory_bytes=CAP) as cache:
        for word in WORDS:
            cache.put(entry(word, scope=_scope(word)), vector(word))
            await near(cache, 7, scope="7")
            if word % 50 == 49:
                await cache.flush()
        assert cache.stats().scopes_evicted > 0
        assert cache.stats().scopes_refilled == 0


async def test_two_requests_share_a_refill(path: Path) -> None:
    """Asked for by many at once, a scope is read once, and all are answered."""
    async with opened(path, max_memory_bytes=CAP) as cache:
        await _put_all(cache)
        await _send_away(cache, "7")
        before = cache.stats().scopes_refilled
        asked = await asyncio.gather(*(near(cache, word, scope="7") for word in WORDS[7::SCOPES]))
        assert asked == [[f"answer {word}"] for word in WORDS[7::SCOPES]]
        assert cache.stats().scopes_refilled == before + 1


async def test_purge_while_a_scope_comes_back_wins(path: Path) -> None:
    """What was purged meanwhile is neither found nor kept, now or later."""
    async with opened(path, max_memory_bytes=CAP) as cache:
        await _put_all(cache)
        await _send_away(cache, "7")
        asking = asyncio.ensure_future(near(cache, 67, scope="7"))
        await asyncio.sleep(0)
        assert await cache.purge(Selector("entry", entry(67).id), dry_run=False) == 1
        await asking
        assert await near(cache, 67, scope="7") == []
        assert await near(cache, 127, scope="7") == ["answer 127"]
        assert cache.stats().entries == 599
    async with opened(path) as cache:
        assert await near(cache, 67, scope="7") == []


async def test_newer_answer_to_an_idle_scope_wins(path: Path) -> None:
    """What replaces an entry whose vector is on disk, before or while it comes back, is found."""
    async with opened(path, max_memory_bytes=CAP) as cache:
        await _put_all(cache)
        await _send_away(cache, "7")
        cache.put(entry(67, scope="7", text="newer"), vector(67))
        asking = asyncio.ensure_future(near(cache, 67, scope="7"))
        await asyncio.sleep(0)
        cache.put(entry(127, scope="7", text="newest"), vector(127))
        assert await asking == ["newer"]
        assert await near(cache, 127, scope="7") == ["newest"]
        assert await near(cache, 187, scope="7") == ["answer 187"]
        assert cache.stats().entries == 600


async def test_idle_entry_expires(path: Path, clock: ManualClock) -> None:
    """What is over before its scope is asked for again is a miss, and leaves no trace."""
    async with opened(path, clock=clock, max_memory_bytes=CAP) as cache:
        cache.put(entry("short", scope="7", expires_at=NOW + 1), vector("short"))
        await _put_all(cache)
        await _send_away(cache, "7")
        clock.advance(2)
        assert await near(cache, "short", scope="7") == []
        assert await near(cache, 67, scope="7") == ["answer 67"]
        clock.advance(HOUR)
        await cache.sweep()
        stats = cache.stats()
        assert (stats.entries, stats.vectors, stats.idle_scopes) == (0, 0, 0)


@pytest.mark.parametrize("kept_on_disk", [True, False])
async def test_only_what_is_on_disk_leaves(path: Path, *, kept_on_disk: bool) -> None:
    """Without a disk entries are evicted instead, and no scope is ever partial."""
    async with opened(path if kept_on_disk else None, max_memory_bytes=CAP) as cache:
        await _put_all(cache)
        stats = cache.stats()
        assert (stats.scopes_evicted > 0, stats.entries == 600) == (kept_on_disk, kept_on_disk)
        assert (stats.evictions == {}) is kept_on_disk
        assert kept_on_disk or stats.vectors == stats.entries


async def test_lookup_after_close_is_a_miss(path: Path) -> None:
    """A question about an idle scope that comes too late is answered with nothing."""
    async with opened(path, max_memory_bytes=CAP) as cache:
        await _put_all(cache)
        await _send_away(cache, "7")
        asking = asyncio.ensure_future(near(cache, 67, scope="7"))
        await asyncio.sleep(0)
    assert (await asyncio.gather(asking, return_exceptions=True))[0] in ([], ["answer 67"])

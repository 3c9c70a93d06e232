"""What has expired: kept for a while for who asks for it, and found by nobody else."""

import asyncio
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from sidecar.cache.entry import Selector
from sidecar.cache.tiers import Cache
from sidecar.clock import ManualClock
from tests.cache.making import ANYTHING, HOUR, NOW, entry, near, opened, vector

KEPT_S = 600.0


async def aged(cache: Cache, clock: ManualClock, seconds: float) -> None:
    """Keep stale entries, put one, and let it be over for so long."""
    cache.expiry.keep_stale_s = KEPT_S
    cache.put(entry(), vector())
    await cache.flush()
    clock.advance(HOUR + seconds)


async def stale(cache: Cache, within_s: float = KEPT_S) -> str | None:
    """What is told instead of an error."""
    found = await cache.get_stale(entry().key, within_s=within_s)
    return None if found is None else found.completion.choices[0].text


async def test_what_expired_is_found_by_who_asks_for_it_alone(
    path: Path, clock: ManualClock
) -> None:
    """Neither by its key nor by its meaning; a look doesn't take it away."""
    async with opened(path, clock=clock) as cache:
        await aged(cache, clock, 1)
        assert await cache.get(entry().key) is None
        assert await near(cache, floor=ANYTHING) == []
        assert await stale(cache) == "answer a"
        assert await stale(cache) == "answer a"


@pytest.mark.parametrize(("passed", "within_s", "found"), [
    (0.0, 10.0, True), (9.9, 10.0, True), (10.0, 10.0, False), (KEPT_S - 1, KEPT_S, True),
    (1.0, 0.0, False),
])  # fmt: skip
async def test_it_is_told_within_the_callers_limit(
    path: Path, clock: ManualClock, passed: float, within_s: float, found: bool
) -> None:
    """To the second."""
    async with opened(path, clock=clock) as cache:
        await aged(cache, clock, passed)
        assert (await stale(cache, within_s) is not None) is found


async def test_a_sweep_takes_what_is_kept_no_longer(path: Path, clock: ManualClock) -> None:
    """Not before, and then from every tier, the disk included."""
    async with opened(path, clock=clock) as cache:
        await aged(cache, clock, KEPT_S - 1)
        assert await cache.sweep() == 0
        clock.advance(1)
        assert await cache.sweep() == 1
        await cache.flush()
        assert await stale(cache, 1e9) is None
        assert cache.stats().entries == 0
        with closing(connect(path)) as file:
            assert file.execute("SELECT count(*) FROM entries").fetchone() == (0,)


async def test_where_nothing_is_kept_a_look_drops_it(path: Path, clock: ManualClock) -> None:
    """As long as no stale answers are wanted they take no room."""
    async with opened(path, clock=clock) as cache:
        cache.put(entry(), vector())
        clock.advance(HOUR)
        assert await cache.get(entry().key) is None
        assert cache.stats().entries == 0
        assert await stale(cache, 1e9) is None


async def test_stale_neighbours_do_not_crowd_out_live_ones(path: Path, clock: ManualClock) -> None:
    """The k nearest are the k nearest that may be served."""
    async with opened(path, clock=clock) as cache:
        cache.expiry.keep_stale_s = KEPT_S
        for word in range(8):
            cache.put(entry(word, expires_at=NOW + 1), vector("a"))
        cache.put(entry("alive"), vector("a"))
        clock.advance(2)
        assert await near(cache, k=2) == ["answer alive"]
        assert cache.stats().entries == 9


async def test_a_stale_entry_outlives_a_restart(path: Path, clock: ManualClock) -> None:
    """Its body is read from the disk, and its vector serves nobody."""
    async with opened(path, clock=clock) as cache:
        await aged(cache, clock, 1)
    async with opened(path, clock=clock, keep_stale_s=KEPT_S) as cache:
        assert await cache.get(entry().key) is None
        assert await near(cache, floor=ANYTHING) == []
        assert await stale(cache) == "answer a"


@pytest.mark.parametrize("way", ["key", "meaning"])
async def test_what_expires_while_it_is_read_is_not_served(
    path: Path, clock: ManualClock, way: str
) -> None:
    """It was fresh when it was looked for, and isn't when it is there."""
    async with opened(path, clock=clock) as cache:
        await aged(cache, clock, -1)
    async with opened(path, clock=clock, keep_stale_s=KEPT_S) as cache:
        reading = asyncio.ensure_future(
            cache.get(entry().key) if way == "key" else near(cache, floor=ANYTHING)
        )
        await asyncio.sleep(0)
        clock.advance(1)
        assert not await reading
        assert await stale(cache) == "answer a"


async def test_a_purge_forgets_stale_entries_too(path: Path, clock: ManualClock) -> None:
    """What was ordered to be forgotten is not told because a provider fails."""
    async with opened(path, clock=clock) as cache:
        await aged(cache, clock, 1)
        assert await cache.purge(Selector("all"), dry_run=False) == 1
        assert await stale(cache) is None


async def test_a_fresh_answer_takes_its_place(path: Path, clock: ManualClock) -> None:
    """A key has one entry, the newest."""
    async with opened(path, clock=clock) as cache:
        await aged(cache, clock, 1)
        cache.put(entry(text="new", expires_at=NOW + 9 * HOUR), vector())
        assert await near(cache) == ["new"]
        assert await stale(cache) == "new"

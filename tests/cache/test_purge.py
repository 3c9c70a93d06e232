import asyncio
from pathlib import Path

import pytest

from sidecar.cache.entry import SELECTOR_FIELDS, Entry, Selector
from sidecar.cache.tiers import Cache
from sidecar.clock import ManualClock
from sidecar.errors import SidecarError
from sidecar.events import EntriesEvicted, Event
from tests.cache.conftest import SmallDisk
from tests.cache.making import NOW, digest, entry, noise, opened, vector

ANN = Selector("user", "ann")


def _mixed() -> list[Entry]:
    """Entries that differ in everything a selector can name."""
    return [
        entry(
            n, user=("ann", "bob")[n % 2], tenant=("shop", "bank")[n // 2 % 2],
            model=f"model-{n % 3}", prompt=("", "greet@1", "greet@2")[n % 3],
            tags=(("faq",), (), ("faq", "eu"))[n % 3],
        )
        for n in range(24)
    ]  # fmt: skip


SELECTORS = {
    "tenant": "bank", "tag": "eu", "model": "model-1", "prompt": "greet", "user": "ann",
    "entry": entry(5).id, "all": "",
}  # fmt: skip


async def _answers(cache: Cache, entries: list[Entry]) -> list[Entry]:
    """Those that are found, by key and by meaning alike."""
    found = []
    for n, each in enumerate(entries):
        by_key = await cache.get(each.key)
        by_meaning = await cache.nearest(each.scope, vector(n), k=1, floor=0.99)
        assert ([by_key] if by_key else []) == [near.entry for near in by_meaning]
        found += [by_key] if by_key else []
    return found


@pytest.mark.parametrize("field", SELECTOR_FIELDS)
@pytest.mark.parametrize("resident", [True, False])
async def test_purge_reaches_every_tier(path: Path, field: str, *, resident: bool) -> None:
    """What is meant is gone, in memory, index and on disk, now and after a restart; the rest
    stays.
    """
    entries, selector = _mixed(), Selector(field, SELECTORS[field])
    expected = [each for each in entries if not selector.matches(each)]
    async with opened(path) as cache:
        for n, each in enumerate(entries):
            cache.put(each, vector(n))
        if resident:
            assert await cache.purge(selector, dry_run=False) == 24 - len(expected)
            assert await _answers(cache, entries) == expected
    async with opened(path) as cache:
        if not resident:
            assert await cache.purge(selector, dry_run=False) == 24 - len(expected)
        assert await _answers(cache, entries) == expected
    async with opened(path) as cache:
        assert await _answers(cache, entries) == expected
        assert cache.stats().entries == cache.stats().vectors == len(expected)


@pytest.mark.parametrize("kept_on_disk", [True, False])
async def test_dry_run_counts_and_leaves(path: Path, *, kept_on_disk: bool) -> None:
    """A dry run tells the number that a purge would, and changes nothing."""
    async with opened(path if kept_on_disk else None) as cache:
        for n, each in enumerate(_mixed()):
            cache.put(each, vector(n))
        assert await cache.purge(ANN, dry_run=True) == 12
        assert await _answers(cache, _mixed()) == _mixed()
        assert await cache.purge(ANN, dry_run=False) == 12
        assert await cache.purge(ANN, dry_run=True) == 0


async def test_observers_hear_of_a_purge(path: Path, told: list[Event]) -> None:
    """What left by order is counted as purged."""
    async with opened(path, told=told) as cache:
        cache.put(entry(), vector())
        await cache.purge(Selector("all"), dry_run=False)
    assert told == [EntriesEvicted("purged", 1)]


async def test_expired_entries_are_not_counted(path: Path, clock: ManualClock) -> None:
    """What was over before doesn't count as purged."""
    async with opened(path, clock=clock) as cache:
        cache.put(entry("a", expires_at=NOW + 1), vector())
        cache.put(entry("b"), vector())
        clock.advance(2)
        assert await cache.purge(Selector("all"), dry_run=False) == 1


async def test_entries_put_meanwhile_stay(path: Path) -> None:
    """Puts go on while a purge runs: what came before it is gone, what came after stays."""
    async with opened(path) as cache:
        for n in range(2000):
            cache.put(entry(f"before {n}"), vector(n))
        purge = asyncio.ensure_future(cache.purge(Selector("all"), dry_run=False))
        after = 0
        await asyncio.sleep(0)
        while not purge.done():
            if after < 1000:
                cache.put(entry(f"after {after}"), vector(("after", after)))
                after += 1
            await asyncio.sleep(0)
        assert await purge == 2000
        await cache.flush()
        assert cache.stats().entries == cache.stats().vectors == after > 0
    async with opened(path) as cache:
        assert cache.stats().entries == cache.stats().vectors == after
        assert await cache.get(entry("before 7").key) is None
        assert await cache.get(entry("after 0").key) == entry("after 0")


async def test_reads_under_way_bring_nothing_back(path: Path) -> None:
    """Bodies that were being read when they were purged are not served, nor kept."""
    async with opened(path) as cache:
        for n in range(300):
            cache.put(entry(n), vector(n))
    async with opened(path) as cache:
        reads = [asyncio.ensure_future(cache.get(entry(n).key)) for n in range(300)]
        await asyncio.sleep(0)
        await cache.purge(Selector("all"), dry_run=False)
        late = [await cache.get(entry(n).key) for n in range(300)]
        assert late == [None] * 300
        await asyncio.gather(*reads)
        assert (cache.stats().entries, cache.stats().resident) == (0, 0)


async def test_vectors_being_loaded_are_purged(path: Path) -> None:
    """A purge while vectors are still coming in leaves none of them."""
    async with opened(path) as cache:
        for n in range(1500):
            cache.put(entry(n, user="ann" if n % 2 else "bob"), vector(n))
            if n % 500 == 0:
                await cache.flush()
    async with opened(path, filled=False) as cache:
        assert await cache.purge(ANN, dry_run=False) == 750
        await cache.filled()
        assert cache.stats().vectors == cache.stats().entries == 750
        assert await cache.nearest(digest("s"), vector(1), k=1, floor=0.99) == []


async def test_purge_that_the_disk_refuses_still_holds(small_disk: SmallDisk) -> None:
    """Where the disk neither deletes rows nor lets go of the file, the order fails loudly, and
    what it meant is not served all the same.
    """
    path = small_disk.folder / "cache.sqlite"
    async with opened(path) as cache:
        for n in range(30):
            cache.put(entry(n, user="ann" if n % 2 else "bob"), vector(n))
    async with opened(path) as cache:
        assert await cache.get(entry(0).key)
        small_disk.fill()
        _put_a_directory_in_its_place(path)
        with pytest.raises(SidecarError, match="can't be purged"):
            await cache.purge(ANN, dry_run=False)
        for n in range(30):
            found = await cache.get(entry(n).key)
            assert found == (None if n % 2 else entry(n, user="bob"))
        small_disk.free()


def _put_a_directory_in_its_place(path: Path) -> None:
    """What is open stays open; the name can't be unlinked any more."""
    path.rename(path.with_name("moved"))
    path.mkdir()


async def test_purge_ends_though_its_caller_left(path: Path) -> None:
    """A purge whose caller is gone is carried out all the same."""
    async with opened(path) as cache:
        for n in range(1500):
            cache.put(entry(n), None)
        asked = asyncio.ensure_future(cache.purge(Selector("all"), dry_run=False))
        await asyncio.sleep(0)
        asked.cancel()
        # Another purge is carried out after the first.
        await cache.purge(Selector("user", "nobody"), dry_run=False)
        assert await cache.get(entry(0).key) is None
    async with opened(path) as cache:
        assert cache.stats().entries == 0


async def test_answer_asked_for_before_a_purge_is_not_stored(
    path: Path, clock: ManualClock
) -> None:
    """An answer that was on its way while its kind was purged doesn't come in behind."""
    async with opened(path, clock=clock) as cache:
        asked_at = clock.now()
        clock.advance(1)
        await cache.purge(ANN, dry_run=False)
        assert not cache.put(entry(user="ann"), vector(), asked_at=asked_at)
        assert cache.put(entry(user="bob"), vector(), asked_at=asked_at)
        assert cache.put(entry(user="ann"), vector(), asked_at=clock.now())


async def test_purged_text_leaves_the_disk(path: Path) -> None:
    """Nothing of a purged answer or question is left in any file."""
    secret = noise(9, 6000)
    async with opened(path) as cache:
        cache.put(entry(text=secret, question=noise(8, 300)), vector())
        await cache.flush()
        await cache.purge(Selector("all"), dry_run=False)
        for content in _contents(path):
            assert secret[100:130].encode() not in content
            assert noise(8, 300)[100:130].encode() not in content


def _contents(path: Path) -> list[bytes]:
    return [file.read_bytes() for file in path.parent.iterdir()]

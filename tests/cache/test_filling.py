import asyncio
from pathlib import Path

import numpy as np

from sidecar.cache.filling import fill
from sidecar.cache.reader import VectorChunk
from sidecar.cache.rows import VectorRow
from sidecar.cache.semantic import INLINE_ROWS, SemanticTier
from sidecar.cache.slots import Place, Slots
from sidecar.cache.store import NoStore
from tests.cache.making import DIMENSION, digest, entry, opened, vector


async def test_every_vector_is_found_after_a_start(path: Path) -> None:
    """Over several chunks, in one scope and in many, nothing is left out."""
    async with opened(path) as cache:
        for word in range(700):
            cache.put(entry(word, scope=("one", str(word))[word % 2]), vector(word))
    async with opened(path) as cache:
        assert cache.stats().vectors == 700
        for word in range(0, 700, 9):
            scope = digest(("one", str(word))[word % 2])
            (found,) = await cache.nearest(scope, vector(word), k=1, floor=0.99)
            assert found.entry.question == f"question {word}?"


async def test_entry_replaced_meanwhile_keeps_its_own_vector(path: Path) -> None:
    """A vector that comes in late doesn't take the place of a newer one."""
    async with opened(path) as cache:
        for word in range(200):
            cache.put(entry(word, scope=str(word)), vector(word))
    async with opened(path, filled=False) as cache:
        while not cache.stats().vectors:  # until the first ones are in
            await asyncio.sleep(0)
        # All were read in one chunk, so the last one's old vector is on its way.
        cache.put(entry(199, scope="199", text="new"), vector("new"))
        await cache.filled()
        assert await cache.nearest(digest("199"), vector(199), k=1, floor=0.99) == []
        (found,) = await cache.nearest(digest("199"), vector("new"), k=1, floor=0.99)
        assert found.entry.completion.choices[0].text == "new"
        assert cache.stats().vectors == 200


async def test_vectors_of_two_lengths_do_not_spoil_each_other(path: Path) -> None:
    """A model that changed its dimension leaves vectors behind that are passed over."""
    async with opened(path, dimension=16) as cache:
        cache.put(entry("old"), vector("old", 16))
    async with opened(path, dimension=8) as cache:
        cache.put(entry("new"), vector("new", 8))
    async with opened(path, dimension=8) as cache:
        (found,) = await cache.nearest(digest("s"), vector("new", 8), k=1, floor=0.99)
        assert found.entry == entry("new")


async def test_caps_hold_while_vectors_come_in(path: Path) -> None:
    """Vectors that would fill the memory evict entries as any others do."""
    async with opened(path) as cache:
        for word in range(600):
            cache.put(entry(word), vector(word))
    async with opened(path, max_memory_bytes=300_000) as cache:
        stats = cache.stats()
        assert stats.memory_bytes <= 300_000
        assert 0 < stats.entries < 600


class OneChunk(NoStore):
    """A store that has two vectors of one scope."""

    places = (Place(1, digest("a")), Place(2, digest("b")))

    async def vectors(self, after: int, below: int, limit: int) -> VectorChunk:
        """The two, then nothing."""
        rows = [VectorRow(place, digest("s"), vector(place.row).tobytes()) for place in self.places]
        return VectorChunk([], [], after) if after else VectorChunk(rows, [], 2)


async def test_entry_that_left_while_its_vector_was_added_is_not_found() -> None:
    """A large partition grows in a thread; what is forgotten meanwhile doesn't stay in it."""
    slots, semantic = Slots(), SemanticTier(DIMENSION)
    many = np.stack([vector(word) for word in range(3, 3 + INLINE_ROWS)])
    await semantic.add_many([1 << 50 | row for row in range(INLINE_ROWS)], digest("s"), many)
    gone, _ = (slots.add(place, 1e12, 10) for place in OneChunk.places)
    handle = slots.handle(gone)
    filling = asyncio.ensure_future(fill(OneChunk(), slots, semantic, 9, lambda damaged: None))
    await asyncio.sleep(0)
    slots.remove(gone)
    semantic.remove(handle)
    await filling
    assert await semantic.search(digest("s"), vector(1), 1, 0.99) == []
    assert len(await semantic.search(digest("s"), vector(2), 1, 0.99)) == 1
    assert len(semantic) == INLINE_ROWS + 1

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.cache.filling import CHUNK_ROWS, Loading, fill
from sidecar.cache.no_store import NoStore
from sidecar.cache.reader import Owner, VectorChunk
from sidecar.cache.rows import VectorRow
from sidecar.cache.semantic import SemanticTier
from sidecar.cache.slots import Place, Slots
from tests.cache.making import DIMENSION, digest, entry, near, opened, vector


async def test_every_vector_is_found_after_a_start(path: Path) -> None:
    """Over several chunks, in one scope and in many, nothing is left out."""
    async with opened(path) as cache:
        for word in range(2200):
            cache.put(entry(word, scope=("one", str(word))[word % 2]), vector(word))
    async with opened(path) as cache:
        assert cache.stats().vectors == 2200
        for word in range(0, 2200, 19):
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


async def test_what_memory_has_no_room_for_stays_on_disk(path: Path) -> None:
    """Vectors that would fill the memory are not read, and no entry is lost for them."""
    async with opened(path) as cache:
        for word in range(600):
            cache.put(entry(word, scope=str(word % 40)), vector(word))
    async with opened(path, max_memory_bytes=300_000) as cache:
        stats = cache.stats()
        assert stats.memory_bytes <= 300_000
        assert (stats.entries, stats.evictions, stats.scopes_evicted) == (600, {}, 0)
        assert 0 < stats.vectors < 600
        assert stats.idle_scopes == 40


async def test_scope_that_stayed_on_disk_is_found_when_asked_for(path: Path) -> None:
    """What a start left on disk comes in with the first question of its scope."""
    async with opened(path) as cache:
        for word in range(600):
            cache.put(entry(word, scope=str(word % 40)), vector(word))
    async with opened(path, max_memory_bytes=300_000) as cache:
        for word in range(599, 0, -50):
            assert await near(cache, word, scope=str(word % 40)) == [f"answer {word}"]
        assert cache.stats().scopes_refilled > 0
        assert cache.stats().memory_bytes <= 300_000


async def test_damaged_vector_costs_its_entry(path: Path) -> None:
    """A vector whose seal doesn't hold is found while filling, and its entry leaves."""
    async with opened(path) as cache:
        for word in range(20):
            cache.put(entry(word), vector(word))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE vectors SET vector = zeroblob(64) WHERE row = 7")
    async with opened(path) as cache:
        stats = cache.stats()
        assert (stats.vectors, stats.entries, stats.evictions) == (19, 19, {"damaged": 1})


class Stored(NoStore):
    """A store that has vectors of one scope, read in chunks; of `broken` ones the disk is."""

    def __init__(self, rows: int, *, broken: bool = False) -> None:
        self.places = [Place(row, digest(row)) for row in range(1, rows + 1)]
        self.broken = broken

    async def vectors(self, after: int, below: int, limit: int) -> VectorChunk:
        """Two at a time."""
        if self.broken and after:
            return VectorChunk([], [], after, ok=False)
        rows = [
            VectorRow(*place, digest("s"), vector(place.row).tobytes())
            for place in self.places[after : after + 2]
        ]
        return VectorChunk(rows, [], rows[-1].row if rows else after)

    async def owners(self, after: int, below: int, limit: int) -> list[Owner]:
        """All that follow."""
        return [Owner(*place, digest("s")) for place in self.places[after:]]


class Filling:
    """What filling stands on, over a store."""

    def __init__(self, store: Stored, room: int = CHUNK_ROWS) -> None:
        self.slots, self.semantic = Slots(), SemanticTier(DIMENSION)
        self.slot_of = {place: self.slots.add(place, 1e12, 10) for place in store.places}
        self.on = Loading(store, self.slots, self.semantic, self.took, self.room)
        self.left = room

    def took(self, damaged: list[int]) -> None:
        assert damaged == []

    def room(self) -> int:
        return self.left - len(self.semantic)

    async def finds(self, word: int) -> bool:
        return bool(await self.semantic.search(digest("s"), vector(word), 1, 0.99))


async def test_entry_that_left_while_its_vector_was_added_is_not_found() -> None:
    """A thread adds vectors; what is forgotten meanwhile doesn't stay among them."""
    store = Stored(2)
    made = Filling(store)
    filling = asyncio.ensure_future(fill(made.on, 9))
    await asyncio.sleep(0)  # the vectors were read, and are being added
    made.slots.remove(made.slot_of[store.places[0]])
    await filling
    assert (await made.finds(1), await made.finds(2), len(made.semantic)) == (False, True, 1)


async def test_slot_that_was_given_to_another_meanwhile_keeps_its_own() -> None:
    """A vector that comes in late isn't taken for that of the entry that has its slot now."""
    store = Stored(1)
    made = Filling(store)
    filling = asyncio.ensure_future(fill(made.on, 9))
    await asyncio.sleep(0)
    slot = made.slot_of[store.places[0]]
    made.slots.remove(slot)
    assert made.slots.add(Place(5, digest(5)), 1e12, 10) == slot
    handle = made.slots.handle(slot)
    made.semantic.add(handle, digest("other"), vector(5))
    await filling
    assert not await made.finds(1)
    (found,) = await made.semantic.search(digest("other"), vector(5), 1, 0.99)
    assert found.handle == handle
    made.semantic.remove(handle)
    assert len(made.semantic) == 0


@pytest.mark.parametrize("room", [0, 1, 3, 4])
async def test_only_as_many_are_read_as_there_is_room_for(room: int) -> None:
    """Filling stops where memory ends, and the scope is known not to be whole."""
    made = Filling(Stored(9), room)
    await fill(made.on, 10)
    assert len(made.semantic) == room
    assert made.semantic.is_partial(digest("s"))
    left = list(made.semantic.walk(digest("s"), None, 99))
    assert len(left) == 9


async def test_scope_is_whole_when_all_was_read() -> None:
    """Where there is room for all, nothing is marked as missing."""
    made = Filling(Stored(9), 9)
    await fill(made.on, 10)
    assert (len(made.semantic), made.semantic.is_partial(digest("s"))) == (9, False)


async def test_scope_that_could_not_be_read_is_not_whole() -> None:
    """A disk that fails while vectors are read leaves the rest to a later try."""
    made = Filling(Stored(9, broken=True))
    await fill(made.on, 10)
    assert (len(made.semantic), made.semantic.is_partial(digest("s"))) == (2, True)

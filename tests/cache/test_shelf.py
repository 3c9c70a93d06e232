import asyncio

import pytest

from sidecar.cache.eviction import Caps, EvictionReason
from sidecar.cache.exact import ExactTier
from sidecar.cache.no_store import NoStore
from sidecar.cache.semantic import SemanticTier
from sidecar.cache.shelf import Shelf
from sidecar.cache.slots import Listed, Place
from sidecar.events import EntriesEvicted, Event, Observers
from tests.cache.making import DIMENSION, NOW, digest, entry, noise, vector


class Shelves:
    """A shelf over memory alone, with what it stands on."""

    def __init__(self, dimension: int = DIMENSION, **caps: int) -> None:
        self.told: list[Event] = []
        self.exact = ExactTier()
        self.semantic = SemanticTier(dimension)
        self.shelf = self.under(**caps)

    def under(self, **caps: int) -> Shelf:
        """A shelf over the same tiers, with these caps."""
        observers = Observers(self.told.append)
        return Shelf(self.exact, self.semantic, NoStore(), Caps(**caps), observers)


def test_entry_is_in_every_tier() -> None:
    """An entry with a vector is found by key and by meaning."""
    made = Shelves()
    assert made.shelf.put(entry(), vector())
    assert (entry().key in made.exact.slots, len(made.semantic)) == (True, 1)


def test_evicted_entry_is_in_no_tier() -> None:
    """Beyond the number of entries the cheapest leaves every tier, and observers hear it."""
    made = Shelves(max_entries=2)
    for word, value in [("a", 500.0), ("b", 1.0), ("c", 500.0)]:
        made.shelf.put(entry(word, value=value), vector(word))
    assert entry("b").key not in made.exact.slots
    assert (len(made.exact), len(made.semantic), len(made.exact.bodies)) == (2, 2, 2)
    assert made.told == [EntriesEvicted("entries", 1)]


def test_newcomer_does_not_leave_at_once() -> None:
    """What was just put is there, even if all others save more."""
    made = Shelves(max_entries=2)
    for word, value in [("a", 5000.0), ("b", 5000.0), ("c", 1.0)]:
        assert made.shelf.put(entry(word, value=value), vector(word))
    assert entry("c").key in made.exact.slots


def test_memory_is_bounded() -> None:
    """However much is put, entries and vectors stay under the cap for memory."""
    made = Shelves(max_memory_bytes=100_000)
    for word in range(500):
        made.shelf.put(entry(word, text=noise(word, 1000)), vector(word))
        assert made.shelf.memory_bytes <= 100_000
    assert made.shelf.evictions["memory"] > 400


def test_bodies_leave_before_entries() -> None:
    """Where the store has the bodies, they make room; no entry is lost."""
    made = Shelves(max_memory_bytes=300_000)
    for word in range(100):
        made.shelf.put(entry(word, text=noise(word, 5000)), None)
        made.shelf.mark_saved([Place(word + 1, entry(word).key)])
    assert (len(made.exact), made.shelf.evictions) == (100, {})
    assert len(made.exact.bodies) < 100
    assert made.shelf.memory_bytes <= 300_000


def test_vectors_do_not_crowd_out_all_bodies() -> None:
    """Where vectors alone would fill the memory, entries go, so that hits need no disk."""
    made = Shelves(max_memory_bytes=200_000)
    for word in range(500):
        made.shelf.put(entry(word), vector(word))
        made.shelf.mark_saved([Place(word + 1, entry(word).key)])
    assert made.exact.bodies.bytes > 200_000 // 10
    assert made.shelf.memory_bytes <= 200_000


def _put_saved(made: Shelves, words: range, text: str = "answer") -> None:
    """Entries, each in a scope of its own, that the disk has."""
    for word in words:
        kept = entry(word, scope=str(word), text=text)
        made.shelf.put(kept, vector(word))
        made.shelf.mark_saved([Place(word + 1, kept.key)])


def test_idle_vectors_leave_before_entries() -> None:
    """Where the disk has them, vectors of idle scopes make room; no entry is lost."""
    made = Shelves(max_memory_bytes=300_000)
    _put_saved(made, range(200))
    assert (len(made.exact), made.shelf.evictions) == (200, {})
    assert 0 < len(made.semantic) < 200
    assert made.semantic.evicted_scopes == made.semantic.partial_scopes == 200 - len(made.semantic)
    assert made.shelf.memory_bytes <= 300_000


def test_bodies_leave_before_idle_vectors() -> None:
    """What a hit can read from disk goes before what makes hits possible."""
    made = Shelves(max_memory_bytes=400_000)
    _put_saved(made, range(100), text=noise(1, 5000))
    assert len(made.exact.bodies) < 100
    assert (len(made.semantic), made.semantic.evicted_scopes) == (100, 0)


def test_unsaved_vectors_never_leave() -> None:
    """What is nowhere else is not sent away: then entries go, as without a disk."""
    made = Shelves(max_memory_bytes=300_000)
    for word in range(200):
        made.shelf.put(entry(word, scope=str(word)), vector(word))
    assert made.semantic.evicted_scopes == 0
    assert len(made.exact) == len(made.semantic) < 200
    assert made.shelf.memory_bytes <= 300_000


def test_scope_with_one_unsaved_vector_stays() -> None:
    """A scope leaves whole or not at all."""
    made = Shelves()
    made.shelf.put(entry("a", scope="old"), vector("a"))
    made.shelf.mark_saved([Place(1, entry("a", scope="old").key)])
    made.shelf.put(entry("b", scope="old"), vector("b"))
    made.shelf.put(entry("c", scope="new"), vector("c"))
    assert not made.semantic.evict_idle()
    made.shelf.mark_saved([Place(2, entry("b", scope="old").key)])
    assert made.semantic.evict_idle()
    assert len(made.semantic) == 1


def test_evicted_entry_does_not_keep_its_scope() -> None:
    """A vector that left before it was saved is no reason to stay."""
    made = Shelves()
    for word in "ab":
        made.shelf.put(entry(word, scope="old"), vector(word))
    made.shelf.put(entry("c", scope="new"), vector("c"))
    made.shelf.mark_saved([Place(1, entry("a", scope="old").key)])
    slot = made.exact.slots.find(entry("b", scope="old").key)
    assert slot is not None
    made.shelf.drop([slot], EvictionReason.PURGED)
    assert made.semantic.evict_idle()


def test_nothing_leaves_once_the_disk_is_lost() -> None:
    """Vectors that the disk had and lost stay where they are."""
    made = Shelves()
    _put_saved(made, range(5))
    made.shelf.lose_disk()
    assert not made.semantic.evict_idle()
    assert len(made.semantic) == 5


async def test_dead_rows_of_the_index_cost_no_entries() -> None:
    """What the index will reclaim by itself is memory, but no reason to evict."""
    made = Shelves(dimension=64)
    for word in range(16_500):
        made.shelf.put(entry(word), vector(word, 64))
    async with asyncio.timeout(60):
        while made.semantic.memory_bytes > 16_500 * 350:  # until they are sealed
            await asyncio.sleep(0)
    before = made.semantic.memory_bytes
    made.shelf.drop(range(300), EvictionReason.PURGED)
    assert made.semantic.memory_bytes > before - 300 * 64
    cap = made.shelf.memory_bytes - 300 * 64
    tight = made.under(max_memory_bytes=cap)
    tight.enforce_caps()
    assert tight.memory_bytes > cap
    assert len(made.exact) == 16_200
    made.under(max_memory_bytes=cap // 2).enforce_caps()
    assert len(made.exact) < 16_200


def test_room_is_what_is_left_of_memory() -> None:
    """As many vectors fit as room was told for, with a share kept for bodies."""
    made = Shelves(max_memory_bytes=400_000)
    room = made.shelf.room()
    assert 150 < room < 400_000 * 7 // 8 // (4 * DIMENSION)
    for word in range(room):
        scope = digest(("scope", word))
        made.semantic.add(word, scope, vector(word))
    assert made.shelf.memory_bytes <= 400_000 * 7 // 8
    made.semantic.add(room, digest("s"), vector("s"))
    assert made.shelf.room() < room // 3


@pytest.mark.parametrize(
    "caps", [{"max_entries": 0}, {"max_memory_bytes": 8000}, {"max_disk_bytes": 8000}]
)
def test_entry_beyond_a_cap_is_refused(caps: dict[str, int]) -> None:
    """What would need most of a cap for itself is not taken in, and evicts nobody."""
    made = Shelves(**caps)
    assert not made.shelf.put(entry(text=noise(1, 2000)), None)
    assert (len(made.exact), made.told) == (0, [])


def test_same_key_is_replaced() -> None:
    """A newer answer takes the place of the older in every tier."""
    made = Shelves()
    made.shelf.put(entry(text="old"), vector())
    made.shelf.put(entry(text="new"), None)
    assert made.exact.bodies.get(entry().key) == entry(text="new")
    assert (len(made.exact), len(made.semantic), made.told) == (1, 0, [])


def test_entry_without_question_is_not_indexed() -> None:
    """What only an equal request may get has no vector."""
    made = Shelves()
    made.shelf.put(entry(question=""), vector())
    assert (len(made.exact), len(made.semantic)) == (1, 0)


def test_of_two_on_disk_the_newer_is_listed() -> None:
    """Where two rows have one key, the higher row counts, whichever is read first."""
    for rows in [(1, 2), (2, 1)]:
        made = Shelves()
        for row in rows:
            made.shelf.enlist([Listed(row, digest("k"), NOW, 1.0, 10)])
        assert made.exact.slots.place(0) == Place(2, digest("k"))


def test_two_with_one_key_in_one_part_are_one() -> None:
    """Rows that come together are told apart as well as rows that don't."""
    made = Shelves()
    made.shelf.enlist([Listed(row, digest(row % 3), NOW, 1.0, 10) for row in range(1, 10)])
    made.shelf.enlist([Listed(row, digest(row), NOW, 1.0, 10) for row in range(10, 20)])
    slots = made.exact.slots
    assert len(slots) == 13
    assert sorted(slots.place(slot).row for _, slot in slots.items()) == [7, 8, 9, *range(10, 20)]


def test_lost_disk_leaves_what_is_in_memory() -> None:
    """When the disk loses everything, whole entries stay and the rest is named."""
    made = Shelves()
    made.shelf.enlist([Listed(1, digest("k"), NOW, 1.0, 10)])
    made.shelf.start_at(2)
    made.shelf.put(entry(), vector())
    handles = made.shelf.lose_disk()
    made.shelf.lose(
        [slot for h in handles if (slot := made.exact.slots.from_handle(h)) is not None]
    )
    assert (digest("k") in made.exact.slots, entry().key in made.exact.slots) == (False, True)
    assert made.told == [EntriesEvicted(EvictionReason.DAMAGED.value, 1)]

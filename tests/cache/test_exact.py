from sidecar.cache.exact import ExactTier
from sidecar.cache.slots import Listed, Place
from tests.cache.making import NOW, digest, entry


def test_admitted_entry_is_whole() -> None:
    """An entry that came from a provider is in memory, and counted."""
    tier = ExactTier()
    tier.admit(1, entry("a"), 100)
    assert tier.bodies.get(entry("a").key) == entry("a")
    assert tier.memory_bytes > tier.bodies.bytes > 0


def test_enlisted_entry_is_a_place() -> None:
    """An entry on disk is known by its key, without its body."""
    tier = ExactTier()
    tier.enlist(Listed(1, entry("a").key, NOW, 5.0, 100))
    assert (entry("a").key in tier.slots, len(tier.bodies)) == (True, 0)


def test_many_are_enlisted_as_each_would_be() -> None:
    """Taken in at once, places are found and ranked as when they come one by one."""
    listed = [Listed(row, digest(row), NOW, float(row % 7), 100) for row in range(1, 50)]
    one, many = ExactTier(), ExactTier()
    for each in listed:
        one.enlist(each)
    many.enlist_many(listed[:20])
    many.enlist_many(listed[20:])
    for tier in (one, many):
        tier.used(3)
    assert [many.slots.place(slot) for slot in range(49)] == [each.place for each in listed]
    assert [many.cheapest() for _ in listed] == [one.cheapest() for _ in listed]


def test_removed_entry_leaves_nothing() -> None:
    """Directory, memory and ranking forget an entry together."""
    tier = ExactTier()
    place = tier.remove(tier.admit(1, entry("a"), 100))
    assert place == Place(1, entry("a").key)
    assert (len(tier), tier.memory_bytes, tier.cheapest()) == (0, 0, None)


def test_use_postpones_eviction() -> None:
    """Of two like entries the one that was used stays longer."""
    tier = ExactTier()
    used, unused = tier.admit(1, entry("a"), 100), tier.admit(2, entry("b"), 100)
    tier.used(used)
    assert tier.cheapest() == unused


def test_late_word_of_the_store_changes_nothing() -> None:
    """That an older version was saved doesn't make the newer one safe to let go."""
    tier = ExactTier()
    tier.remove(tier.admit(1, entry("a"), 100))
    tier.admit(2, entry("a"), 100)
    tier.mark_saved(Place(1, entry("a").key))
    assert not tier.bodies.demote()

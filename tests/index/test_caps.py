"""What goes when there is too much: least recently used entries, or whole partitions."""

import numpy as np
import pytest

from index import Evicted, VectorIndex
from tests.index.making import clustered, ids_of

DIMENSION = 32
MATRIX = clustered(400, DIMENSION)


class Told(list):
    """What was evicted, in order."""

    def ids(self) -> list:
        """The entries, where they were told by name."""
        return [(each.partition, *each.ids) for each in self]


@pytest.fixture
def told():
    """Nothing was evicted yet."""
    return Told()


def bytes_of(entries: int) -> int:
    """What a partition of so many entries takes."""
    index = VectorIndex(DIMENSION)
    index.add_many(range(entries), MATRIX[:entries])
    return index.stats().bytes


def test_up_to_the_cap_all_stay(told):
    """As many entries as allowed are no cause to lose one."""
    index = VectorIndex(DIMENSION, max_entries=3, on_evict=told.append)
    index.add_many("abc", MATRIX[:3])
    index.add("b", MATRIX[9])
    assert told == []
    assert len(index) == 3


def test_the_entry_added_first_goes_first(told):
    """One entry too many costs one entry, wherever it is."""
    index = VectorIndex(DIMENSION, max_entries=3, on_evict=told.append)
    for name, id_ in (("p", "a"), ("q", "a"), ("q", "b"), ("q", "c"), ("p", "d")):
        index.add(id_, MATRIX[0], name)
    assert told == [Evicted("p", 1, ("a",)), Evicted("q", 1, ("a",))]
    assert (index.size("p"), index.size("q"), len(index)) == (1, 2, 3)


def test_what_was_found_stays_longer(told):
    """A match is a use; an entry that was looked at and not returned was not used."""
    index = VectorIndex(DIMENSION, max_entries=12, on_evict=told.append)
    index.add_many(range(12), MATRIX[:12])
    assert ids_of(index.search(MATRIX[0])) == [0]
    assert [ids_of(found) for found in index.search_many(MATRIX[1:3])] == [[1], [2]]
    index.add_many([20, 21], MATRIX[20:22])
    assert told.ids() == [("", 3), ("", 4)]


def test_what_was_added_again_stays_longer(told):
    """Replacing an entry is a use of it."""
    index = VectorIndex(DIMENSION, max_entries=2, on_evict=told.append)
    index.add_many("ab", MATRIX[:2])
    index.add("a", MATRIX[5])
    index.add("c", MATRIX[6])
    assert told.ids() == [("", "b")]


def test_a_batch_larger_than_the_cap_keeps_its_end(told):
    """Of too many at once the last ones stay."""
    index = VectorIndex(DIMENSION, max_entries=5, on_evict=told.append)
    index.add_many(range(9), MATRIX[:9])
    assert told.ids() == [("", id_) for id_ in range(4)]
    assert [index.has(id_) for id_ in range(9)] == [False] * 4 + [True] * 5


def test_what_was_removed_or_dropped_is_not_evicted_later(told):
    """What is gone frees its place and is forgotten by the order of uses."""
    index = VectorIndex(DIMENSION, max_entries=4, on_evict=told.append)
    index.add_many("ab", MATRIX[:2], "dropped")
    index.add_many("cd", MATRIX[:2])
    index.drop("dropped")
    index.remove("c")
    index.add_many("efg", MATRIX[:3])
    assert told == []
    index.add("h", MATRIX[3])
    assert told.ids() == [("", "d")]


def test_sealed_entries_are_evicted_too(told):
    """What is compacted ages like the rest, and is not found once it went."""
    index = VectorIndex(DIMENSION, exact_below=64, max_entries=300, on_evict=told.append)
    index.add_many(range(300), MATRIX[:300])
    index.compact()
    index.add_many(range(300, 400), MATRIX[300:])
    assert told.ids() == [("", id_) for id_ in range(100)]
    for id_ in range(100):
        assert id_ not in ids_of(index.search(MATRIX[id_], 20))
    index.compact()
    stats = index.stats()
    assert (len(index), stats.sealed, stats.dead) == (300, 300, 0)


def test_a_cap_on_bytes_drops_the_partition_used_least_recently(told):
    """Whole, told as such, and no more of them than needed."""
    index = VectorIndex(DIMENSION, max_bytes=3 * bytes_of(10), on_evict=told.append)
    for name in "abcd":
        index.add_many(range(10), MATRIX[:10], name)
    assert told == [Evicted("a", 10, None)]
    assert [index.size(name) for name in "abcd"] == [0, 10, 10, 10]
    assert (len(index), index.stats().partitions) == (30, 3)
    assert index.stats().bytes <= 3 * bytes_of(10)


def test_a_partition_that_was_searched_stays_longer(told):
    """A search is a use, also when it finds nothing."""
    index = VectorIndex(DIMENSION, max_bytes=2 * bytes_of(10), on_evict=told.append)
    for name in "ab":
        index.add_many(range(10), MATRIX[:10], name)
    index.search(-MATRIX[0], floor=0.99, partition="a")
    index.add_many(range(10), MATRIX[:10], "c")
    assert told == [Evicted("b", 10, None)]


def test_the_partition_just_written_is_never_dropped(told):
    """One that is larger than the cap stands alone, and stays."""
    index = VectorIndex(DIMENSION, max_bytes=bytes_of(10), on_evict=told.append)
    index.add("x", MATRIX[0], "small")
    index.add_many(range(50), MATRIX[:50], "large")
    index.add("more", MATRIX[60], "large")
    assert told == [Evicted("small", 1, None)]
    assert len(index) == 51


def test_losing_an_entry_is_no_use_of_a_partition(told):
    """With both caps, whoever pays for the one is not spared by the other."""
    index = VectorIndex(DIMENSION, max_entries=21, max_bytes=3 * bytes_of(11), on_evict=told.append)
    index.add_many(range(11), MATRIX[:11], "old")
    index.add_many(range(10), MATRIX[:10], "middle")
    index.add("x", MATRIX[0], "new")
    assert told == [Evicted("old", 1, (0,))]
    told.clear()
    index.add_many(range(16), MATRIX[:16], "new")
    assert told[0] == Evicted("old", 10, None)


def test_a_dropped_partition_is_refilled_like_a_new_one(told):
    """What went can come back, and is all there."""
    index = VectorIndex(DIMENSION, exact_below=64, max_bytes=bytes_of(390), on_evict=told.append)
    index.add_many(range(300), MATRIX[:300], "a")
    index.compact()
    while not told:
        index.add_many(range(400), MATRIX, "b")
    index.add_many(range(300), MATRIX[:300], "a")
    assert index.size("a") == 300
    for found, id_ in zip(index.search_many(MATRIX[:300], partition="a"), range(300), strict=True):
        assert ids_of(found) == [id_]


def test_whoever_is_told_may_use_the_index():
    """The lock is not held: what went can be looked up, put elsewhere, or put back."""
    seen = []

    def put_aside(evicted: Evicted) -> None:
        seen.append((evicted, len(index)))
        if evicted.partition == "a":
            index.add("kept", MATRIX[0], "aside")

    index = VectorIndex(DIMENSION, max_entries=2, on_evict=put_aside)
    index.add("x", MATRIX[0], "a")
    index.add("y", MATRIX[1], "b")
    index.add("z", MATRIX[2], "c")
    assert seen == [(Evicted("a", 1, ("x",)), 2), (Evicted("b", 1, ("y",)), 2)]
    assert index.has("kept", "aside")


def test_what_is_told_and_what_is_left_add_up(told):
    """No entry is lost untold or told twice, whatever mixture of caps, changes and steps."""
    random = np.random.default_rng(0)
    index = VectorIndex(
        DIMENSION,
        exact_below=64,
        max_entries=700,
        max_bytes=1_500_000,  # three sealed partitions
        on_evict=told.append,
    )
    balance = 0
    for turn in range(60):
        name = "abcdef"[random.integers(6)]
        ids = random.choice(400, random.integers(1, 200), replace=False).tolist()
        balance += sum(not index.has(id_, name) for id_ in ids)
        index.add_many(ids, MATRIX[ids], name)
        balance -= index.remove(ids[0], name)
        if turn % 10 == 9:
            index.compact()
        assert len(index) == balance - sum(each.count for each in told)
        assert len(index) <= 700
    assert {each.ids is None for each in told} == {True, False}
    for name in "abcdef":
        index.drop(name)
    assert (index.stats().entries, index.stats().bytes) == (0, 0)

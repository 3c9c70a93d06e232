"""Partitions never see each other, and exist only while they hold something."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from index.partitions import Partitions
from index.protocol import Stats
from index.vectors import unit_matrix

DIMENSION = 32
NOTHING = Stats(0, 0, 0, sealed=0, dead=0, compacting=False)


def made(exact_below: int = 64) -> Partitions:
    """No partitions, without caps."""
    return Partitions(
        DIMENSION, exact_below=exact_below, max_entries=None, max_bytes=None, on_evict=None
    )


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Random unit vectors, the same for the same seed."""
    return unit_matrix(np.random.default_rng(seed).standard_normal((count, DIMENSION)), DIMENSION)


def test_a_search_sees_its_own_partition_only():
    """The same vector in another partition is not found, however near it is."""
    partitions = made()
    matrix = rows(2)
    partitions.put("a", ["mine"], matrix[:1])
    partitions.put("b", ["theirs"], matrix[1:])
    assert [m.id for m in partitions.search("a", matrix[1:], 10, -1.0)[0]] == ["mine"]


def test_one_id_may_stand_in_two_partitions():
    """Ids are named within a partition: removing one leaves its namesake."""
    partitions = made()
    partitions.put("a", ["x"], rows(1))
    partitions.put("b", ["x"], rows(1))
    assert partitions.remove("a", "x")
    assert partitions.has("b", "x")


def test_a_crowded_partition_takes_no_place_in_anothers_results():
    """A thousand nearer vectors next door do not push out the only one here."""
    partitions = made()
    query = rows(1)
    partitions.put("loud", range(1000), np.repeat(query, 1000, axis=0))
    partitions.put("quiet", ["far"], -query)
    assert [m.id for m in partitions.search("quiet", query, 1, -1.0)[0]] == ["far"]


def test_a_partition_that_was_never_filled_is_empty_and_stays_unmade():
    """Looking at, or removing from, an unknown name creates nothing."""
    partitions = made()
    assert partitions.search("nowhere", rows(2), 1, -1.0) == [[], []]
    assert not partitions.remove("nowhere", "x")
    assert partitions.size("nowhere") == 0
    assert partitions.stats() == NOTHING


def test_an_emptied_partition_leaves_nothing_behind():
    """With its last entry a partition's memory goes too."""
    partitions = made()
    partitions.put("a", ["x", "y"], rows(2))
    partitions.remove("a", "x")
    partitions.remove("a", "y")
    assert partitions.stats() == NOTHING


def test_putting_nothing_makes_no_partition():
    """An empty batch is no entry."""
    partitions = made()
    partitions.put("a", [], rows(0))
    assert partitions.stats().partitions == 0


def test_stats_are_the_sums_after_every_kind_of_change():
    """Entries and partitions through adding, growing, replacing, removing and dropping."""
    partitions = made()
    partitions.put("a", range(10), rows(10))
    partitions.put("b", ["x"], rows(1))
    partitions.put("a", [10], rows(1, seed=1))
    partitions.put("a", [3], rows(1, seed=2))
    partitions.remove("a", 4)
    stats = partitions.stats()
    assert (stats.entries, stats.partitions, stats.sealed, stats.dead) == (11, 2, 0, 0)
    assert partitions.drop("a") == 10
    stats = partitions.stats()
    assert (stats.entries, stats.partitions) == (1, 1)


def test_memory_is_counted_alike_on_whatever_way_entries_came():
    """The running sum of bytes is what the same partitions take that were filled at once."""
    winding, straight = made(), made()
    for start in range(0, 400, 50):
        winding.put("a", range(start, start + 50), rows(50, seed=start))
        winding.put("b", range(start, start + 50), rows(50, seed=start))
        winding.compact()
        for id_ in range(start, start + 50, 2):
            winding.remove("a", id_)
    winding.drop("b")
    winding.compact()
    straight.put("a", range(1, 400, 2), rows(200))
    straight.compact()
    assert winding.stats().sealed == straight.stats().sealed == 200
    assert winding.stats().bytes == pytest.approx(straight.stats().bytes, rel=0.05)


def test_an_emptied_large_partition_leaves_nothing_behind():
    """What was sealed, compacted and removed takes no byte of the sums with it."""
    partitions = made()
    partitions.put("a", range(300), rows(300))
    partitions.compact()
    for id_ in range(300):
        if id_ % 100 == 99:
            partitions.compact()
        partitions.remove("a", id_)
    partitions.compact()
    assert replace(partitions.stats(), compacting=False) == NOTHING


def test_stats_tell_how_far_compaction_has_come():
    """Sealed entries and dead rows, of the large partitions that there are."""
    partitions = made()
    partitions.put("small", range(64), rows(64))
    partitions.put("a", range(300), rows(300))
    partitions.compact()
    for id_ in range(10):
        partitions.remove("a", id_)
    partitions.put("a", ["new"], rows(1, seed=1))
    stats = partitions.stats()
    assert (stats.entries, stats.sealed, stats.dead) == (355, 290, 10)
    partitions.drop("a")
    stats = partitions.stats()
    assert (stats.entries, stats.sealed, stats.dead) == (64, 0, 0)


def test_a_partition_is_exact_up_to_its_size_and_again_when_little_is_left():
    """One entry more is sealed; at half as many all are compared again."""
    partitions = made(exact_below=100)
    partitions.put("a", range(100), rows(100))
    partitions.compact()
    assert partitions.is_exact("a")
    partitions.put("a", [100], rows(1, seed=1))
    partitions.compact()
    assert not partitions.is_exact("a")
    for id_ in range(50):
        partitions.remove("a", id_)
    partitions.compact()
    assert not partitions.is_exact("a")
    partitions.remove("a", 50)
    partitions.compact()
    assert partitions.is_exact("a")
    assert partitions.size("a") == 50


def test_dropping_an_unknown_partition_forgets_nothing():
    """Dropping says how many entries went: none."""
    assert made().drop("nowhere") == 0


def test_an_emptied_partition_filled_again_holds_only_the_new():
    """A name that comes back remembers nothing."""
    partitions = made()
    partitions.put("a", ["old"], rows(1))
    partitions.drop("a")
    partitions.put("a", ["new"], rows(1))
    assert [m.id for m in partitions.search("a", rows(1), 10, -1.0)[0]] == ["new"]


def test_a_search_that_runs_delays_no_change():
    """The lock is free while a search computes."""
    partitions = made()
    partitions.put("a", range(100), rows(100))

    class Queries(list):
        """Queries that, when they are read, change the index from another thread."""

        def __iter__(self):
            writer = threading.Thread(target=partitions.put, args=("a", ["new"], rows(1)))
            writer.start()
            writer.join(timeout=30)
            assert not writer.is_alive()
            return super().__iter__()

    found = partitions.search("a", Queries(rows(1)), 200, -1.0)[0]
    assert len(found) == 100
    assert partitions.has("a", "new")

"""Partitions never see each other, and exist only while they hold something."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from index.partitions import Partitions
from index.protocol import Stats
from index.vectors import unit_matrix

DIMENSION = 8
ONE_VECTOR = DIMENSION * 4


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Random unit vectors, the same for the same seed."""
    return unit_matrix(np.random.default_rng(seed).standard_normal((count, DIMENSION)), DIMENSION)


def test_a_search_sees_its_own_partition_only():
    """The same vector in another partition is not found, however near it is."""
    partitions = Partitions(DIMENSION)
    matrix = rows(2)
    partitions.put("a", ["mine"], matrix[:1])
    partitions.put("b", ["theirs"], matrix[1:])
    assert [m.id for m in partitions.search("a", matrix[1:], 10, -1.0)[0]] == ["mine"]


def test_one_id_may_stand_in_two_partitions():
    """Ids are named within a partition: removing one leaves its namesake."""
    partitions = Partitions(DIMENSION)
    partitions.put("a", ["x"], rows(1))
    partitions.put("b", ["x"], rows(1))
    assert partitions.remove("a", "x")
    assert partitions.has("b", "x")


def test_a_crowded_partition_takes_no_place_in_anothers_results():
    """A thousand nearer vectors next door do not push out the only one here."""
    partitions = Partitions(DIMENSION)
    query = rows(1)
    partitions.put("loud", range(1000), np.repeat(query, 1000, axis=0))
    partitions.put("quiet", ["far"], -query)
    assert [m.id for m in partitions.search("quiet", query, 1, -1.0)[0]] == ["far"]


def test_a_partition_that_was_never_filled_is_empty_and_stays_unmade():
    """Looking at, or removing from, an unknown name creates nothing."""
    partitions = Partitions(DIMENSION)
    assert partitions.search("nowhere", rows(2), 1, -1.0) == [[], []]
    assert not partitions.remove("nowhere", "x")
    assert partitions.size("nowhere") == 0
    assert partitions.stats() == Stats(entries=0, partitions=0, bytes=0)


def test_an_emptied_partition_leaves_nothing_behind():
    """With its last entry a partition's memory goes too."""
    partitions = Partitions(DIMENSION)
    partitions.put("a", ["x", "y"], rows(2))
    partitions.remove("a", "x")
    partitions.remove("a", "y")
    assert partitions.stats() == Stats(entries=0, partitions=0, bytes=0)


def test_putting_nothing_makes_no_partition():
    """An empty batch is no entry."""
    partitions = Partitions(DIMENSION)
    partitions.put("a", [], rows(0))
    assert partitions.stats().partitions == 0


def test_stats_are_the_sums_after_every_kind_of_change():
    """The running sums stay true through adding, growing, replacing, removing and dropping."""
    partitions = Partitions(DIMENSION)
    partitions.put("a", range(10), rows(10))
    partitions.put("b", ["x"], rows(1))
    partitions.put("a", [10], rows(1, seed=1))  # grows to 20 rows
    partitions.put("a", [3], rows(1, seed=2))  # replaces
    assert partitions.stats() == Stats(entries=12, partitions=2, bytes=21 * ONE_VECTOR)
    partitions.compact()
    assert partitions.stats() == Stats(entries=12, partitions=2, bytes=12 * ONE_VECTOR)
    assert partitions.drop("a") == 11
    assert partitions.stats() == Stats(entries=1, partitions=1, bytes=ONE_VECTOR)


def test_dropping_an_unknown_partition_forgets_nothing():
    """Dropping says how many entries went: none."""
    assert Partitions(DIMENSION).drop("nowhere") == 0


def test_an_emptied_partition_filled_again_holds_only_the_new():
    """A name that comes back remembers nothing."""
    partitions = Partitions(DIMENSION)
    partitions.put("a", ["old"], rows(1))
    partitions.drop("a")
    partitions.put("a", ["new"], rows(1))
    assert [m.id for m in partitions.search("a", rows(1), 10, -1.0)[0]] == ["new"]


def wrong_answers(partitions: Partitions, queries: np.ndarray, truth: np.ndarray) -> list:
    """Search 40 times; the answers that name a row twice or score it as another."""
    wrong = []
    for _ in range(40):
        for query, found in enumerate(partitions.search("a", queries, 400, -1.0)):
            ids = [match.id for match in found]
            scores = [match.similarity for match in found]
            if len(set(ids)) < len(ids) or not np.allclose(scores, truth[ids, query], atol=1e-5):
                wrong.append(found)
    return wrong


def test_no_search_ever_sees_a_torn_or_misnamed_row():
    """Under a writer that removes, moves and replaces rows, each match is one that was stored.

    An id is only ever stored with one vector, so its similarity to a query has
    one value; a row half overwritten, or read under another row's id, has another.
    """
    matrix = rows(400)
    queries = matrix[:16]
    partitions = Partitions(DIMENSION)
    partitions.put("a", range(400), matrix)
    random = np.random.default_rng(4)
    with ThreadPoolExecutor(2) as pool:
        readers = [
            pool.submit(wrong_answers, partitions, queries, matrix @ queries.T) for _ in "ab"
        ]
        while not all(reader.done() for reader in readers):
            gone = random.choice(400, size=random.integers(1, 390), replace=False).tolist()
            for row in gone:
                partitions.remove("a", row)
            half = len(gone) // 2
            partitions.put("a", gone[:half], matrix[gone[:half]])
            for row in gone[half:]:
                partitions.put("a", [row], matrix[row : row + 1])
            partitions.compact()
    assert [reader.result() for reader in readers] == [[], []]
    assert partitions.size("a") == 400


def test_a_search_that_runs_delays_no_change():
    """The lock is free while a search computes."""
    partitions = Partitions(DIMENSION)
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

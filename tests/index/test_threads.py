"""Many threads at once: every answer is true of a moment between its question and its end."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from index import IndexClosedError, VectorIndex
from tests.index.making import CODED_WITHIN, clustered, ids_of
from tests.index.waiting import compaction_ends, compaction_threads

DIMENSION = 32
ROWS = 3000
MATRIX = clustered(ROWS, DIMENSION)
STEADY = ROWS // 3  # those below are never touched
DEADLINE_S = 60
TURNS = 150


@pytest.fixture
def index():
    """The steady rows, sealed, in a partition."""
    index = VectorIndex(DIMENSION, exact_below=64)
    index.add_many(range(STEADY), MATRIX[:STEADY])
    index.compact()
    yield index
    index.close()
    compaction_ends()


class Owner:
    """A thread that owns every third id, changes them, and knows what is stored."""

    def __init__(self, index: VectorIndex, number: int) -> None:
        self.index = index
        self.random = np.random.default_rng(number)
        self.mine = np.arange(STEADY + number, ROWS, 2)
        self.stored: set[int] = set()

    def run(self) -> None:
        """Change a few, and see that it is so at once."""
        for turn in range(TURNS):
            some = self.random.choice(self.mine, self.random.integers(1, 300), replace=False)
            if turn % 3 < 2:
                self.index.add_many(some.tolist(), MATRIX[some])
                self.stored |= set(some.tolist())
            else:
                for id_ in some.tolist():
                    assert self.index.remove(id_) == (id_ in self.stored)
                self.stored -= set(some.tolist())
            self._look(some[:5].tolist())

    def _look(self, ids: list[int]) -> None:
        for id_, found in zip(ids, self.index.search_many(MATRIX[ids], 40, 0.99), strict=True):
            assert (id_ in ids_of(found)) == (id_ in self.stored)


def read(index: VectorIndex, seed: int, stop: threading.Event) -> int:
    """Search until told to stop: the steady are always there, and no answer is impossible."""
    random = np.random.default_rng(seed)
    answers = 0
    while not stop.is_set():
        rows = random.integers(STEADY, size=4)
        for row, found in zip(rows, index.search_many(MATRIX[rows], 60, 0.9), strict=True):
            ids = ids_of(found)
            assert row in ids
            assert len(set(ids)) == len(ids)
            truth = MATRIX[ids] @ MATRIX[row]
            assert np.allclose([each.similarity for each in found], truth, atol=CODED_WITHIN)
            answers += 1
    return answers


def compact(index: VectorIndex, stop: threading.Event) -> int:
    """Compact until told to stop."""
    times = 0
    while not stop.is_set():
        index.compact()
        times += 1
    return times


def test_all_at_once(index):
    """Searches, additions, removals and compaction from six threads: no answer is wrong."""
    stop = threading.Event()
    owners = [Owner(index, number) for number in range(2)]
    with ThreadPoolExecutor(6) as pool:
        around: list[Future[int]] = [pool.submit(read, index, seed, stop) for seed in range(2)]
        around += [pool.submit(compact, index, stop) for _ in range(2)]
        try:
            for changing in [pool.submit(owner.run) for owner in owners]:
                changing.result(DEADLINE_S)
        finally:
            stop.set()
        assert all(each.result(DEADLINE_S) for each in around)
    index.compact()
    stored = owners[0].stored | owners[1].stored
    assert len(index) == STEADY + len(stored) == index.stats().sealed
    for id_ in range(STEADY, ROWS):
        assert index.has(id_) == (id_ in stored)


def test_partitions_that_come_and_go_are_dropped_whole():
    """While large ones are compacted, others drop them and fill them again."""
    index = VectorIndex(DIMENSION, exact_below=64)

    def come_and_go(name: str) -> None:
        for _ in range(15):
            index.add_many(range(300), MATRIX[:300], name)
            assert ids_of(index.search(MATRIX[7], 1, 0.99, name)) == [7]
            assert index.drop(name) == 300
            assert index.search(MATRIX[7], 1, 0.99, name) == []

    with ThreadPoolExecutor(3) as pool:
        for each in [pool.submit(come_and_go, name) for name in "abc"]:
            each.result(DEADLINE_S)
    compaction_ends()
    stats = index.stats()
    assert (stats.entries, stats.partitions, stats.bytes, stats.sealed, stats.dead) == (0,) * 5


def test_no_search_sees_a_torn_or_misnamed_row():
    """In exact segments rows are moved while others read: each match is one that was stored."""
    index = VectorIndex(DIMENSION)
    index.add_many(range(ROWS), MATRIX)
    stop = threading.Event()
    random = np.random.default_rng(4)
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read, index, seed, stop) for seed in range(2)]
        try:
            for _ in range(40):
                gone = random.choice(np.arange(STEADY, ROWS), 700, replace=False).tolist()
                for row in gone:
                    index.remove(row)
                index.compact()
                index.add_many(gone, MATRIX[gone])
        finally:
            stop.set()
        assert all(reader.result(DEADLINE_S) for reader in readers)
    assert len(index) == ROWS


def test_two_may_compact_the_same():
    """Both return when nothing is left to do."""
    index = VectorIndex(DIMENSION, exact_below=64)
    index.add_many(range(ROWS), MATRIX)
    both = [threading.Thread(target=index.compact) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(DEADLINE_S)
        assert not each.is_alive()
    assert (index.stats().sealed, index.stats().dead) == (ROWS, 0)


def test_the_thread_ends_when_nothing_is_left_to_do():
    """By itself, and what could be sealed is."""
    index = VectorIndex(DIMENSION, exact_below=64)
    index.add_many(range(ROWS), MATRIX)
    compaction_ends()
    assert index.stats().sealed == ROWS
    assert not index.stats().compacting


def test_small_partitions_start_no_thread():
    """Nothing is to be done for them."""
    compaction_ends()
    index = VectorIndex(DIMENSION, exact_below=64)
    for name in map(str, range(50)):
        index.add_many(range(64), MATRIX[:64], name)
    assert not index.stats().compacting
    assert not compaction_threads()


def test_the_index_may_be_closed_while_it_compacts():
    """It waits for nothing; the thread ends after its step."""
    index = VectorIndex(DIMENSION, exact_below=64)
    for name in map(str, range(20)):
        index.add_many(range(ROWS), MATRIX, name)
    index.close()
    compaction_ends()
    with pytest.raises(IndexClosedError):
        index.search(MATRIX[0])


def test_a_search_under_way_outlives_the_index():
    """Closing takes nothing away from those who read: they end, or learn that it is closed."""
    index = VectorIndex(DIMENSION, exact_below=64)
    index.add_many(range(STEADY), MATRIX[:STEADY])
    index.compact()
    begun = threading.Event()

    def search() -> None:
        while True:
            assert len(index.search_many(MATRIX[:50], 1, 0.99)) == 50
            begun.set()

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(search) for _ in range(2)]
        assert begun.wait(DEADLINE_S)
        index.close()
        for reader in readers:
            with pytest.raises(IndexClosedError):
                reader.result(DEADLINE_S)

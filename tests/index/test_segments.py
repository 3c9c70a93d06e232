"""How rows pass through the segments of a partition, and when there is work."""

import subprocess
import sys

import numpy as np
import pytest

from index.exact import ExactIndex
from index.segments import DEAD_LEAST, FULL_BESIDE_SEALED, FULL_ROWS, PARTITION_BYTES, Segments
from tests.index.making import clustered, exact_partition, ids_of, sealed_partition

DIMENSION = 32
MATRIX = clustered(2 * FULL_ROWS + 100, DIMENSION)
FULL_LEAST = FULL_BESIDE_SEALED[0]


def found(segments: Segments, query: np.ndarray, k: int = 1, floor: float = -1.0) -> list:
    """One whole search."""
    view = segments.open_view()
    try:
        return ids_of(view.nearest_many(query[None, :], k, floor)[0])
    finally:
        view.close()


@pytest.fixture
def three():
    """Two full segments and one that grows, row i of MATRIX under id i."""
    segments = Segments(DIMENSION)
    segments.put(range(len(MATRIX)), MATRIX)
    return segments


def test_a_full_segment_is_followed_by_another(three):
    """None ever holds more rows than a full one."""
    assert [len(segment) for segment in three.exact] == [FULL_ROWS, FULL_ROWS, 100]
    assert [len(segment) for segment in three.waiting] == [FULL_ROWS, FULL_ROWS]
    assert len(three) == len(MATRIX)


def test_every_segment_is_asked(three):
    """The best of all come, in order."""
    rows = [0, FULL_ROWS, 2 * FULL_ROWS + 50]
    assert [found(three, MATRIX[row]) for row in rows] == [[row] for row in rows]
    best = np.argsort(-(MATRIX @ MATRIX[0]))[:20].tolist()
    assert found(three, MATRIX[0], 20) == best


def test_an_id_is_live_in_one_segment(three):
    """Replaced, it leaves the segment that it was in."""
    three.put([0, FULL_ROWS], MATRIX[[5, 5]])
    assert [len(segment) for segment in three.exact] == [FULL_ROWS - 1, FULL_ROWS - 1, 102]
    assert len(three) == len(MATRIX)
    assert sorted(three.ids()) == list(range(len(MATRIX)))


def test_an_id_replaced_across_a_full_segment_is_there_once():
    """A batch that fills one segment and begins the next replaces in both."""
    segments = Segments(DIMENSION)
    segments.put(range(FULL_ROWS - 10), MATRIX[: FULL_ROWS - 10])
    segments.put(range(100), MATRIX[FULL_ROWS : FULL_ROWS + 100])
    assert len(segments) == FULL_ROWS - 10
    assert len(list(segments.ids())) == FULL_ROWS - 10
    for row in range(100):
        assert found(segments, MATRIX[FULL_ROWS + row]) == [row]


def test_removal_reaches_every_segment(three):
    """Wherever it is, once."""
    for id_ in (0, FULL_ROWS, 2 * FULL_ROWS + 50):
        assert id_ in three
        assert three.remove(id_)
        assert id_ not in three
        assert not three.remove(id_)


def test_no_empty_segments_pile_up():
    """Entries that come and go for ever leave no more segments than they need."""
    segments = Segments(DIMENSION)
    batch = FULL_ROWS
    for turn in range(6):
        first = turn * batch
        segments.put(range(first, first + batch), MATRIX[:batch])
        for id_ in range(first - batch, first):
            segments.remove(id_)
    assert len(segments) == batch
    assert len(segments.exact) <= 2


def test_beside_a_sealed_segment_a_growing_one_is_full_sooner():
    """It is what a search waits for."""
    partition = sealed_partition(MATRIX[:100])
    partition.add_many(range(100, 101 + FULL_LEAST), MATRIX[100 : 101 + FULL_LEAST])
    assert [len(each) for each in partition.segments.exact] == [FULL_LEAST, 1]


def test_an_empty_partition_finds_nothing_for_each_query():
    """As many answers as questions."""
    view = Segments(DIMENSION).open_view()
    assert view.nearest_many(MATRIX[:3], 5, -1.0) == [[], [], []]


def test_a_view_gives_every_segment_back(three):
    """Closed, it holds no dead row anywhere."""
    view = three.open_view()
    for id_ in (0, FULL_ROWS, 2 * FULL_ROWS):
        three.remove(id_)
    view.close()
    for id_ in (1, FULL_ROWS + 1, 2 * FULL_ROWS + 1):
        three.remove(id_)
    assert three.exact_rows == len(three) == len(MATRIX) - 6


def test_what_is_sealed_leaves_no_exact_segment_behind():
    """Only the segments that were taken in go."""
    partition = exact_partition(MATRIX[:200])
    partition.begin_step()
    partition.add_many(range(200, 300), MATRIX[200:300])
    partition.end_step()
    assert [len(segment) for segment in partition.segments.exact] == [100]
    assert len(partition.segments.sealed) == 200


@pytest.mark.parametrize(("rows", "due"), [(100, False), (101, True)])
def test_sealing_is_due_beyond_the_size(rows, due):
    """Up to it a partition stays exact."""
    segments = Segments(DIMENSION)
    segments.put(range(rows), MATRIX[:rows])
    assert segments.is_due(100) == segments.needs_work(100) == due
    assert segments.needs_work(100, thorough=True) == due


def test_a_full_segment_beside_a_sealed_one_is_due():
    """And one that still grows is not, unless nothing is to be left for later."""
    partition = sealed_partition(MATRIX[:100])
    partition.add_many(range(100, 100 + FULL_LEAST), MATRIX[100 : 100 + FULL_LEAST])
    segments = partition.segments
    assert not segments.needs_work(64)
    assert segments.needs_work(64, thorough=True)
    partition.add(-1, MATRIX[0])
    assert segments.needs_work(64)


def test_dead_rows_are_worth_the_work_when_they_are_many():
    """A few are left for later."""
    rows = 2 * DEAD_LEAST
    segments = sealed_partition(MATRIX[:rows]).segments
    for id_ in range(DEAD_LEAST):
        segments.remove(id_)
    assert not segments.is_littered()
    segments.remove(DEAD_LEAST)
    assert segments.is_littered()
    assert segments.needs_work(64)


@pytest.mark.parametrize(("left", "small"), [(51, False), (50, True)])
def test_half_as_many_are_too_few_to_stay_sealed(left, small):
    """Half, so that a partition about that size does not go to and fro."""
    segments = sealed_partition(MATRIX[:120]).segments
    for id_ in range(120 - left):
        segments.remove(id_)
    assert segments.is_small(100) == segments.needs_work(100) == small


@pytest.mark.parametrize(("more", "must"), [(100, False), (101, True)])
def test_lists_are_made_anew_for_twice_as_many(more, must):
    """Those made for a hundred serve two hundred."""
    partition = sealed_partition(MATRIX[:100])
    partition.add_many(range(100, 100 + more), MATRIX[100 : 100 + more])
    assert partition.segments.must_train() == must


def test_spare_memory_goes_back(three):
    """Matrices are as large as what they hold."""
    for id_ in range(0, 3000):
        three.remove(id_)
    three.trim()
    view = three.open_view()
    assert [len(part.matrix.base) for _, part in view.exact] == [FULL_ROWS - 3000, FULL_ROWS, 100]


def test_memory_is_that_of_the_segments(three):
    """And what a partition takes by itself."""
    one = ExactIndex(DIMENSION)
    one.put(range(len(MATRIX)), MATRIX)
    assert three.bytes == PARTITION_BYTES + one.bytes
    sealed = sealed_partition(MATRIX[:1000]).segments
    assert sealed.bytes == PARTITION_BYTES + sealed.sealed.bytes


SHORT_OF_MEMORY = """
import resource
import numpy as np
import psutil
from index.segments import FULL_ROWS, Segments

segments = Segments(4096)
segments.put([-1], np.eye(1, 4096, dtype=np.float32))
enough_for_one = FULL_ROWS * 4096 * 4 * 3 // 2
taken = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (taken + enough_for_one, resource.RLIM_INFINITY))
rows = np.broadcast_to(np.eye(1, 4096, dtype=np.float32), (3 * FULL_ROWS, 4096))
try:
    segments.put(range(3 * FULL_ROWS), rows)
except MemoryError:
    print(list(segments.ids()), len(segments.exact))
"""


def test_without_memory_for_all_rows_none_is_put():
    """Not even those for which there was room."""
    command = [sys.executable, "-c", SHORT_OF_MEMORY]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.split("\n")[0] == "[-1] 1"

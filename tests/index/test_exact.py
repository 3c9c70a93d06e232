"""One partition, searched exactly, while it changes."""

import numpy as np
import pytest

from index.exact import ROW_BYTES, ExactIndex
from index.vectors import unit_matrix

DIMENSION = 16
ONE_ROW = 4 * DIMENSION + ROW_BYTES


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Random unit vectors, the same for the same seed."""
    return unit_matrix(np.random.default_rng(seed).standard_normal((count, DIMENSION)), DIMENSION)


def filled(matrix: np.ndarray, first: int = 0) -> ExactIndex:
    """A partition with row i under the id first + i."""
    index = ExactIndex(DIMENSION)
    index.put(range(first, first + len(matrix)), matrix)
    return index


def nearest(index: ExactIndex, query: np.ndarray, k: int = 1, floor: float = -1.0):
    """One whole search: open a view, read it, close it."""
    view = index.open_view()
    try:
        return view.nearest(query, k, floor)
    finally:
        index.close_view(view)


def test_similarity_depends_on_the_pair_alone():
    """A pair scores the same bits alone, among thousands, and in any row."""
    matrix = rows(3000)
    together = {m.id: m.similarity for m in nearest(filled(matrix), matrix[7], k=3000)}
    alone = {
        row: nearest(filled(matrix[row : row + 1], row), matrix[7])[0].similarity
        for row in range(3000)
    }
    assert together == alone


def test_similarity_is_symmetric():
    """A scores against B what B scores against A, to the bit."""
    matrix = rows(40)
    for a in range(40):
        for b in range(40):
            forth = nearest(filled(matrix[a : a + 1]), matrix[b])[0].similarity
            assert forth == nearest(filled(matrix[b : b + 1]), matrix[a])[0].similarity


def test_ties_are_kept_until_ids_have_decided():
    """Of more equal vectors than are asked for, those with the smallest ids come."""
    index = ExactIndex(DIMENSION)
    index.put(range(50, 0, -1), np.repeat(rows(1), 50, axis=0))
    assert [match.id for match in nearest(index, rows(1)[0], k=4)] == [1, 2, 3, 4]


def test_rounding_beyond_one_decides_nothing():
    """Vectors that can't be told apart are a tie, also where one's product is a bit larger."""
    random = np.random.default_rng(0)
    pairs = 0
    while pairs < 20:
        (vector,) = unit_matrix(random.standard_normal((1, DIMENSION)), DIMENSION)
        other = vector.copy()
        other[0] = np.nextafter(other[0], np.sign(other[0]) * np.float32(2))
        if not np.vecdot(other, vector) > np.vecdot(vector, vector) >= 1:
            continue
        pairs += 1
        index = ExactIndex(DIMENSION)
        index.put(["b", "a"], np.stack([other, vector]))
        for k in (1, 2):
            assert [match.id for match in nearest(index, vector, k)] == ["a", "b"][:k]


def test_a_view_keeps_what_it_saw_while_rows_are_removed_and_added():
    """A search sees the moment it began: later changes, row moves included, do not reach it."""
    matrix, later = rows(8), rows(8, seed=9)
    index = filled(matrix)
    view = index.open_view()
    before = view.nearest(matrix[2], 8, -1.0)
    for row in range(6):
        index.remove(row)
    index.put(range(100, 108), later)
    assert view.nearest(matrix[2], 8, -1.0) == before


def test_what_is_removed_during_a_search_is_gone_for_the_next():
    """A removal is visible at once, also while an older search still reads."""
    matrix = rows(8)
    index = filled(matrix)
    old = index.open_view()
    index.remove(2)
    assert 2 not in [match.id for match in nearest(index, matrix[2], k=8)]
    index.close_view(old)


def test_rows_that_died_during_a_search_are_reclaimed_after_it():
    """Marks do not pile up: the next change that finds no reader clears them."""
    matrix = rows(8)
    index = filled(matrix)
    view = index.open_view()
    for row in range(4):
        index.remove(row)
    index.close_view(view)
    index.remove(4)
    assert index.open_view().matrix.shape == (3, DIMENSION)


def test_a_reader_of_an_outgrown_matrix_holds_nothing_back():
    """A search that began before the matrix grew does not keep the new one's rows from moving."""
    matrix = rows(4)
    index = filled(matrix)
    old = index.open_view()
    index.put(range(10, 14), rows(4, seed=2))
    index.remove(0)
    assert index.open_view().matrix.shape == (7, DIMENSION)
    assert len(old.nearest(matrix[0], 8, -1.0)) == 4


def test_replacing_under_endless_searches_uses_bounded_memory():
    """Even if no moment is free of readers, dead rows are dropped when the matrix is full."""
    matrix = rows(10)
    index = filled(matrix)
    view = index.open_view()
    for turn in range(500):
        index.put([turn % 10], matrix[turn % 10 : turn % 10 + 1])
        following = index.open_view()
        index.close_view(view)
        view = following
    assert index.bytes <= 2 * (10 + 1) * ONE_ROW


def test_closing_a_view_of_an_outgrown_matrix_frees_nothing_of_the_new_one():
    """A late reader of the old matrix does not undo the hold of a reader of the new."""
    matrix = rows(4)
    index = filled(matrix)
    old = index.open_view()
    index.put(range(10, 14), rows(4, seed=2))  # grows: a new matrix
    new = index.open_view()
    index.close_view(old)
    before = new.nearest(matrix[0], 8, -1.0)
    index.remove(0)
    index.remove(1)
    assert new.nearest(matrix[0], 8, -1.0) == before


def test_one_vector_takes_the_room_of_one():
    """A partition of one entry sets no spare rows aside."""
    assert filled(rows(1)).bytes == ONE_ROW


def test_memory_follows_removals():
    """When most rows are gone, so is most of the memory."""
    index = filled(rows(1000))
    for row in range(990):
        index.remove(row)
    assert index.bytes == 10 * ONE_ROW
    assert index.open_view().matrix.base.shape[0] <= 40


def test_compact_leaves_no_spare_row():
    """After compaction the matrix is exactly as large as what it holds."""
    index = filled(rows(100))
    index.put([100], rows(1, seed=1))
    assert index.open_view().matrix.base.shape[0] > 101
    index.compact()
    assert index.open_view().matrix.base.shape[0] == 101


def test_running_out_of_memory_leaves_all_as_it_was():
    """Room is made before anything is changed, so a failed replacement loses nothing."""

    class FarTooMany(list):
        """Ids that ask for more room than there are addresses."""

        def __len__(self):
            return 10**15

    matrix = rows(4)
    index = filled(matrix)
    before = nearest(index, matrix[0], k=4)
    with pytest.raises((MemoryError, ValueError)):
        index.put(FarTooMany([0, 1]), rows(2, seed=5))
    assert nearest(index, matrix[0], k=4) == before

"""Many queries at once give, to the bit, what each gives alone."""

import numpy as np
import pytest

from index.exact import BATCH_FROM_QUERIES, BATCH_FROM_ROWS, SPARE, ExactIndex
from tests.index.making import clustered

ROWS, DIMENSION = 2 * BATCH_FROM_ROWS, 33
MATRIX = clustered(ROWS, DIMENSION)
QUERIES = np.concatenate([MATRIX[:20], clustered(20, DIMENSION, seed=5)])


def filled(matrix: np.ndarray, ids=None) -> ExactIndex:
    """A segment with row i under id i."""
    index = ExactIndex(DIMENSION)
    index.put(range(len(matrix)) if ids is None else ids, matrix)
    return index


def assert_as_each_alone(view, queries, k, floor):
    """One answer for many queries is many answers."""
    together = view.nearest_many(queries, k, floor)
    assert together == [view.nearest(query, k, floor) for query in queries]
    assert any(together)


@pytest.mark.parametrize("floor", [-1.0, 0.0, 0.5, 0.9])
@pytest.mark.parametrize("k", [1, 4, 100, 1000])
def test_a_batch_is_answered_as_each_alone(k, floor):
    """Ids, order and similarity, for few matches and for many."""
    assert_as_each_alone(filled(MATRIX).open_view(), QUERIES, k, floor)


@pytest.mark.parametrize("count", [BATCH_FROM_QUERIES - 1, BATCH_FROM_QUERIES])
@pytest.mark.parametrize("size", [BATCH_FROM_ROWS - 1, BATCH_FROM_ROWS])
def test_the_sizes_at_which_batches_begin_make_no_difference(count, size):
    """One row or query more takes another way to the same answer."""
    assert_as_each_alone(filled(MATRIX[:size]).open_view(), QUERIES[:count], 3, -1.0)


@pytest.mark.parametrize("equal", [SPARE, SPARE + 1, 500])
def test_of_many_equal_vectors_the_smallest_ids_come(equal):
    """Where a list can't settle the ties, all rows are looked at."""
    matrix = MATRIX.copy()
    matrix[-equal:] = MATRIX[0]  # the last rows have the smallest ids
    view = filled(matrix, range(ROWS, 0, -1)).open_view()
    assert_as_each_alone(view, QUERIES, 4, 0.5)
    assert [match.id for match in view.nearest_many(QUERIES, 4, 0.5)[0]] == [1, 2, 3, 4]


def test_dead_rows_take_no_live_rows_place():
    """Rows that died during a search are skipped, however near."""
    index = filled(MATRIX)
    first = index.open_view()
    best_first = np.argsort(-(MATRIX @ MATRIX[0])).tolist()
    for row in best_first[:50]:
        index.remove(row)
    view = index.open_view()
    assert_as_each_alone(view, QUERIES, 4, -1.0)
    found = view.nearest_many(QUERIES, 4, -1.0)[0]
    assert [match.id for match in found] == best_first[50:54]
    index.close_view(first)


def test_a_batch_of_no_queries_has_no_answers():
    """Nothing asked, nothing found, and no error."""
    assert filled(MATRIX).open_view().nearest_many(QUERIES[:0], 4, 0.5) == []

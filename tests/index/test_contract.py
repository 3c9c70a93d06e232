"""What a search promises, whether a partition is exact, sealed, half of each or in between."""

import numpy as np
import pytest

from tests.index.making import (
    CODED_WITHIN,
    EXACT_WITHIN,
    INDEXES,
    assert_exact,
    assert_possible,
    clustered,
    ids_of,
    in_order,
    moments,
)

ROWS, DIMENSION = 300, 64
MATRIX = clustered(ROWS, DIMENSION)
OTHERS = clustered(ROWS, DIMENSION, seed=1)


@pytest.fixture(params=INDEXES)
def state(request):
    """Which segments hold the entries."""
    return request.param


@pytest.fixture
def index(state):
    """Row i of MATRIX under id i."""
    index = INDEXES[state](MATRIX)
    yield index
    index.compact()


def test_each_vector_finds_itself(index):
    """A stored vector is its own nearest, with similarity 1."""
    for _ in moments(index):
        for row, found in enumerate(index.search_many(MATRIX)):
            assert ids_of(found) == [row]
            assert 1.0 - CODED_WITHIN <= found[0].similarity <= 1.0


def test_the_neighbours_are_the_true_ones(index):
    """What is at 0.75 or nearer is found, and scored as it is."""
    for _ in moments(index):
        for query in MATRIX[::10]:
            truth = dict(enumerate((MATRIX @ query).tolist()))
            assert_exact(index.search(query, 20, 0.75), truth, 20, 0.75, CODED_WITHIN)


def test_similarities_are_those_of_float32_where_nothing_is_sealed():
    """An exact partition answers with the inner product itself."""
    index = INDEXES["exact"](MATRIX)
    found = index.search(MATRIX[0], ROWS)
    assert_possible(found, dict(enumerate((MATRIX @ MATRIX[0]).tolist())), ROWS, -1.0, EXACT_WITHIN)
    assert len(found) == ROWS


def test_what_was_added_is_found_at_once(index):
    """A search that begins after `add` has returned finds the entry."""
    index.add("new", OTHERS[0])
    for _ in moments(index):
        assert ids_of(index.search(OTHERS[0], floor=0.99)) == ["new"]


def test_what_was_removed_is_gone_at_once(index):
    """A search that begins after `remove` has returned does not find the entry."""
    for id_ in range(0, ROWS, 3):
        assert index.remove(id_)
    for _ in moments(index):
        for row, found in enumerate(index.search_many(MATRIX, 20, 0.5)):
            assert not [id_ for id_ in ids_of(found) if id_ % 3 == 0]
            assert row % 3 == 0 or ids_of(found)[0] == row


def test_removing_again_says_that_it_was_not_there(index):
    """True once, then False, whichever segment held the entry."""
    for _ in moments(index):
        for id_ in (0, ROWS - 1):
            index.add(id_, MATRIX[id_])
            assert index.remove(id_)
            assert not index.remove(id_)
            assert not index.has(id_)


def test_a_replaced_entry_is_found_by_its_new_vector_alone(index):
    """What an id held before is forgotten, in whichever segment it was."""
    ids = range(0, ROWS, 2)
    index.add_many(ids, OTHERS[::2])
    for _ in moments(index):
        for id_, found in zip(ids, index.search_many(OTHERS[::2], floor=0.99), strict=True):
            assert ids_of(found) == [id_]
        for id_, found in zip(ids, index.search_many(MATRIX[::2], 20, 0.6), strict=True):
            assert id_ not in ids_of(found)


def test_a_replaced_entry_is_counted_once(index):
    """One id is one entry, in whichever segments it has been."""
    index.add_many(range(0, ROWS, 2), OTHERS[::2])
    index.add(0, OTHERS[7])
    for _ in moments(index):
        assert index.size() == ROWS


def test_an_entry_that_comes_back_is_there_once(index):
    """Removed and added again with the same vector, it is found, and found once."""
    for id_ in (0, ROWS - 1):
        index.remove(id_)
        index.add(id_, MATRIX[id_])
    for _ in moments(index):
        for id_ in (0, ROWS - 1):
            assert ids_of(index.search(MATRIX[id_], 20, 0.99)) == [id_]


def test_size_and_has_follow_each_change(index):
    """What is stored is known without a search."""
    index.remove(3)
    index.add("new", OTHERS[0])
    for _ in moments(index):
        assert index.size() == ROWS
        assert (index.has(2), index.has(3), index.has("new")) == (True, False, True)


def test_ties_come_in_the_order_of_ids(index):
    """Equal vectors are equally near: numbers first, then text, whatever came first."""
    index.add_many(["1", 1002, "0", 1001], np.repeat(OTHERS[:1], 4, axis=0))
    for _ in moments(index):
        assert ids_of(index.search(OTHERS[0], 3, 0.99)) == [1001, 1002, "0"]


def test_the_floor_is_inclusive(index):
    """A similarity that equals the floor passes, a hair more does not."""
    for _ in moments(index):
        best = index.search(MATRIX[5], 2)[1]
        assert best in index.search(MATRIX[5], 20, best.similarity)
        assert best not in index.search(MATRIX[5], 20, best.similarity + 1e-9)


@pytest.mark.parametrize("k", [1, 3, 9, 100])
def test_no_more_than_k_come_best_first(index, k):
    """Up to `k`, in order, each once."""
    for _ in moments(index):
        for found in index.search_many(MATRIX[::20], k):
            assert len(set(ids_of(found))) == len(found) == k
            assert in_order(found)


def test_fewer_than_k_is_no_error(index):
    """What there is comes back, which may be nothing."""
    for _ in moments(index):
        assert 1 <= len(index.search(MATRIX[0], 50, 0.75)) < 50
        assert index.search(OTHERS[0], 50, 0.95) == []


def test_many_queries_are_answered_as_each_alone(index):
    """`search_many` gives what `search` gives, to the bit."""
    for _ in moments(index):
        together = index.search_many(MATRIX[:60], 5, 0.3)
        assert together == [index.search(query, 5, 0.3) for query in MATRIX[:60]]


def test_numbers_of_any_size_and_text_are_ids(index):
    """An id comes back as it was given, also beyond 64 bits and when it is empty text."""
    ids = [10**30, -5, "", "é" * 50, "None"]
    index.add_many(ids, OTHERS[: len(ids)])
    for _ in moments(index):
        found = index.search_many(OTHERS[: len(ids)], floor=0.99)
        assert [ids_of(each) for each in found] == [[id_] for id_ in ids]


def test_what_is_removed_until_nothing_is_left_is_not_found(index):
    """The last entry goes like the first."""
    for id_ in range(ROWS):
        assert index.remove(id_)
    for _ in moments(index):
        assert index.size() == 0
        assert index.search(MATRIX[0], 10) == []

"""The public face, as a caller sees it."""

import numpy as np
import pytest

from index import (
    IndexClosedError,
    InvalidArgumentError,
    InvalidVectorError,
    Match,
    VectorIndex,
    VectorIndexError,
)
from tests.index.making import clustered
from tests.index.waiting import compaction_ends

DIMENSION = 384


def rows(count: int) -> np.ndarray:
    """Random unit vectors, the same every time."""
    matrix = np.random.default_rng(0).standard_normal((count, DIMENSION))
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def vectors():
    """Three entries, one on each axis."""
    index = VectorIndex(dimension=3)
    index.add_many(["x", "y", "z"], np.eye(3))
    return index


def test_a_stranger_needs_no_partition():
    """Without partitions named, the index is one set of vectors."""
    vectors = VectorIndex(dimension=2)
    vectors.add("a", [1.0, 0.0])
    vectors.add("b", [0.0, 2.0])
    assert vectors.search([0.0, 1.0]) == [Match("b", 1.0)]


def test_the_default_dimension_is_that_of_the_shipped_model():
    """MiniLM's 384 numbers fit without being asked for."""
    assert VectorIndex().dimension == 384


def test_a_vector_finds_itself_with_similarity_one():
    """Within rounding, and never above 1."""
    matrix = rows(200)
    vectors = VectorIndex()
    vectors.add_many(range(200), matrix)
    for row, found in enumerate(vectors.search_many(matrix)):
        assert found[0].id == row
        assert 1.0 - 1e-6 <= found[0].similarity <= 1.0


def test_opposite_vectors_are_never_below_minus_one_and_pass_the_lowest_floor():
    """Rounding takes some pairs a little below -1; they are reported as -1 and kept."""
    matrix = rows(200)
    vectors = VectorIndex()
    vectors.add_many(range(200), matrix)
    for found in vectors.search_many(-matrix, k=200, floor=-1.0):
        assert len(found) == 200
        assert found[-1].similarity >= -1.0


def test_the_floor_is_inclusive(vectors):
    """A similarity that equals the floor passes."""
    vectors.add("half", [0.6, 0.8, 0.0])
    similarity = vectors.search([1.0, 0.0, 0.0], k=2)[1].similarity
    assert len(vectors.search([1.0, 0.0, 0.0], k=4, floor=similarity)) == 2


@pytest.mark.parametrize("step", [1e-9, 1e-12])
def test_no_reported_similarity_is_below_the_floor(vectors, step):
    """A floor between two float32 numbers is not rounded down."""
    vectors.add("half", [0.6, 0.8, 0.0])
    similarity = vectors.search([1.0, 0.0, 0.0], k=2)[1].similarity
    assert len(vectors.search([1.0, 0.0, 0.0], k=4, floor=similarity + step)) == 1


def test_a_floor_of_zero_is_a_floor(vectors):
    """Zero does not mean that there is none."""
    assert [m.id for m in vectors.search([0.5, -0.5, 0.0], k=3, floor=0.0)] == ["x", "z"]


def test_equal_similarities_come_in_the_order_of_ids(vectors):
    """Ties do not depend on the order of insertion; of too many the smallest ids stay."""
    for id_ in ("d", "b", "c", "a"):
        vectors.add(id_, [1.0, 1.0, 1.0], "ties")
    assert [m.id for m in vectors.search([1.0, 0.0, 0.0], 3, 0.0, "ties")] == ["a", "b", "c"]


def test_many_queries_are_answered_as_each_alone():
    """`search_many` gives what `search` gives, to the bit."""
    matrix = rows(500)
    vectors = VectorIndex()
    vectors.add_many(range(500), matrix)
    together = vectors.search_many(matrix[:40], k=5, floor=0.3)
    assert together == [vectors.search(query, k=5, floor=0.3) for query in matrix[:40]]


def test_answers_do_not_depend_on_the_history_of_the_index():
    """Whatever came and went before, the same entries give the same matches."""
    matrix = rows(300)
    straight, winding = VectorIndex(), VectorIndex()
    straight.add_many(range(300), matrix)
    for id_ in reversed(range(300)):
        winding.add(id_, matrix[(id_ * 7) % 300])
        winding.add(id_ + 1000, matrix[id_])
    for id_ in range(300):
        winding.remove(id_ + 1000)
        winding.add(id_, matrix[id_])
    assert winding.search_many(matrix, k=9) == straight.search_many(matrix, k=9)


def test_of_an_id_given_twice_in_a_batch_the_last_counts():
    """A batch reads like the same additions one by one."""
    vectors = VectorIndex(dimension=2)
    vectors.add_many(["a", "b", "a"], [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    assert len(vectors) == 2
    assert vectors.search([0.0, 1.0]) == [Match("a", 1.0)]


def test_has_and_size_look_into_one_partition(vectors):
    """`len` counts all entries, `size` those of one partition."""
    vectors.add("x", [1.0, 1.0, 1.0], "other")
    assert vectors.has("y")
    assert not vectors.has("y", "other")
    assert (vectors.size("other"), len(vectors)) == (1, 4)


def test_dropping_a_partition_leaves_the_others(vectors):
    """Only the named one goes."""
    vectors.add("x", [1.0, 1.0, 1.0], "other")
    assert vectors.drop("other") == 1
    assert len(vectors) == 3


def test_an_index_of_nothing_is_still_an_index():
    """Empty does not read as absent."""
    assert VectorIndex()


def test_changing_an_array_after_adding_it_changes_nothing_stored(vectors):
    """The index keeps its own copy."""
    mine = np.array([0.0, 0.6, 0.8], np.float32)
    vectors.add("mine", mine)
    mine[:] = np.nan
    assert vectors.search([0.0, 0.6, 0.8])[0].id == "mine"


@pytest.mark.parametrize(
    "bad_row", [[np.nan, 0.0, 1.0], [np.inf, 0.0, 0.0], [0.0, 0.0, 0.0]], ids=["nan", "inf", "zero"]
)
def test_one_bad_row_adds_none_of_a_batch(vectors, bad_row):
    """All or nothing: no new entry, and no replacement half made."""
    before = vectors.search([1.0, 0.0, 0.0], k=9)
    with pytest.raises(InvalidVectorError, match="row 1"):
        vectors.add_many(["x", "new"], [[0.0, 1.0, 0.0], bad_row])
    assert vectors.search([1.0, 0.0, 0.0], k=9) == before


@pytest.mark.parametrize("count", [1, 3])
def test_ids_and_rows_must_be_equally_many(vectors, count):
    """A batch that does not line up adds nothing."""
    with pytest.raises(InvalidArgumentError, match=rf"got {count} ids for 2 vectors"):
        vectors.add_many([f"n{i}" for i in range(count)], np.ones((2, 3)))
    assert len(vectors) == 3


@pytest.mark.parametrize("id_", [None, 1.5, b"x", ("a", 1)])
def test_an_id_is_text_or_a_whole_number(vectors, id_):
    """Anything else is refused, alone and within a batch."""
    with pytest.raises(InvalidArgumentError, match="id must be str or int"):
        vectors.add(id_, [1.0, 0.0, 0.0])
    with pytest.raises(InvalidArgumentError, match="id must be str or int"):
        vectors.add_many(["fine", id_], np.ones((2, 3)))
    assert len(vectors) == 3


@pytest.mark.parametrize("k", [0, -1, 1.5, None])
def test_k_is_a_positive_number(vectors, k):
    """Asking for none, or for a part of one, is a mistake."""
    with pytest.raises(InvalidArgumentError, match="k must be an integer ≥ 1"):
        vectors.search([1.0, 0.0, 0.0], k=k)
    with pytest.raises(InvalidArgumentError, match="k must be an integer ≥ 1"):
        vectors.search_many([[1.0, 0.0, 0.0]], k=k)


@pytest.mark.parametrize("floor", [np.nan, 1.01, 80, -1.01])
def test_a_floor_outside_what_a_cosine_can_be_is_refused(vectors, floor):
    """A percentage, or NaN, would quietly match nothing or everything."""
    with pytest.raises(InvalidArgumentError, match="floor must be in"):
        vectors.search([1.0, 0.0, 0.0], floor=floor)


@pytest.mark.parametrize("query", [[np.nan, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0]])
def test_a_query_is_checked_as_strictly_as_an_entry(vectors, query):
    """A query without a direction gets an error, not an arbitrary match."""
    with pytest.raises(InvalidVectorError):
        vectors.search(query)
    with pytest.raises(InvalidVectorError):
        vectors.search_many([query])


@pytest.mark.parametrize("dimension", [0, -3, 1.5, "384"])
def test_a_dimension_is_a_positive_number(dimension):
    """An index of no dimensions cannot be made."""
    with pytest.raises(InvalidArgumentError, match="dimension must be an integer ≥ 1"):
        VectorIndex(dimension)


@pytest.mark.parametrize("least", [0, 63, 64.0, None])
def test_too_few_can_not_be_sealed(least):
    """From fewer than 64 vectors no codes can be learned."""
    with pytest.raises(InvalidArgumentError, match="exact_below must be an integer ≥ 64"):
        VectorIndex(exact_below=least)


@pytest.mark.parametrize("cap", ["max_entries", "max_bytes"])
@pytest.mark.parametrize("most", [0, -1, 1.5])
def test_a_cap_is_a_positive_number(cap, most):
    """An index that may hold nothing is a mistake."""
    with pytest.raises(InvalidArgumentError, match=f"{cap} must be an integer ≥ 1"):
        VectorIndex(**{cap: most})


@pytest.mark.parametrize(
    "call",
    [
        lambda v: v.add("a", [1.0, 0.0, 0.0]),
        lambda v: v.add_many(["a"], [[1.0, 0.0, 0.0]]),
        lambda v: v.remove("a"),
        lambda v: v.drop(""),
        lambda v: v.search([1.0, 0.0, 0.0]),
        lambda v: v.search_many([[1.0, 0.0, 0.0]]),
        lambda v: v.has("a"),
        lambda v: v.size(),
        lambda v: v.is_exact(),
        len,
        lambda v: v.compact(),
        lambda v: v.stats(),
    ],
)
def test_a_closed_index_says_so(vectors, call):
    """After `close` no call answers as if the index were merely empty."""
    vectors.close()
    with pytest.raises(IndexClosedError, match="closed"):
        call(vectors)


def test_closing_twice_is_fine(vectors):
    """The second time there is nothing left to do."""
    vectors.close()
    vectors.close()


def test_leaving_the_with_block_closes():
    """The index can be held like any other resource."""
    with VectorIndex(dimension=2) as vectors:
        vectors.add("a", [1.0, 0.0])
    with pytest.raises(VectorIndexError):
        vectors.stats()


@pytest.mark.parametrize(
    ("dimension", "is_exact"), [(3, True), (31, True), (32, False), (33, False)]
)
def test_short_vectors_are_never_sealed(dimension, is_exact):
    """Comparing them is cheap, and codes would tell too little of them."""
    matrix = np.random.default_rng(0).standard_normal((200, dimension))
    vectors = VectorIndex(dimension, exact_below=64)
    vectors.add_many(range(200), matrix)
    vectors.compact()
    assert vectors.is_exact() == is_exact
    assert [found[0].id for found in vectors.search_many(matrix)] == list(range(200))


def test_an_empty_batch_changes_nothing(vectors):
    """Nothing to add and nothing to ask is no mistake."""
    vectors.add_many([], np.empty((0, 3)))
    assert vectors.search_many(np.empty((0, 3))) == []
    assert len(vectors) == 3


def test_what_is_filled_is_sealed_afterwards():
    """Within `filling` all is searched exactly, however much it is."""
    matrix = clustered(400, 64)
    with VectorIndex(64, exact_below=64) as vectors:
        with vectors.filling():
            vectors.add_many(range(400), matrix)
            assert vectors.is_exact()
            assert vectors.search(matrix[7], 1, 0.99)[0].id == 7
        compaction_ends()
        assert not vectors.is_exact()

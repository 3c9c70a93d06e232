"""The shortlist that FAISS makes of very many vectors."""

import faiss
import numpy as np
import pytest

from index.approximate import PROBES, InvertedFile, best_rows
from index.vectors import unit_matrix
from tests.index.making import clustered, near, unit

ROWS, DIMENSION = 3000, 64
MATRIX = clustered(ROWS, DIMENSION)
EVERY = np.arange(ROWS)


def made(matrix: np.ndarray = MATRIX, lists: int = 32) -> InvertedFile:
    """Row i under label i."""
    draft = InvertedFile.trained(matrix, lists).copy()
    draft.add(np.arange(len(matrix)), matrix)
    return draft.finished()


def shortlists(file: InvertedFile, queries: np.ndarray, count: int, floor: float) -> list:
    """The shortlist of each query."""
    return [file.shortlist(query, count, floor).labels for query in queries]


def share_found(file: InvertedFile, queries: np.ndarray, labels: np.ndarray, floor: float) -> float:
    """How many of the queries list their label."""
    listed = shortlists(file, queries, 64, floor)
    return float(np.mean([label in rows for label, rows in zip(labels, listed, strict=True)]))


@pytest.fixture(scope="module", params=[32, 4 * PROBES], ids=["few lists", "many lists"])
def file(request):
    """All of MATRIX, in lists that are all looked into, or in more."""
    return made(lists=request.param)


@pytest.mark.parametrize("floor", [-1.0, 0.5, 0.75, 0.9, 0.99])
def test_a_row_is_listed_for_its_own_vector(file, floor):
    """Whatever the floor leaves out, not what is meant."""
    assert share_found(file, MATRIX, EVERY, floor) >= 0.999


def test_true_neighbours_are_listed(file):
    """Those at 0.75 or nearer, of queries that were never stored."""
    queries = np.concatenate([near(row, 2, seed, 0.05) for seed, row in enumerate(MATRIX[:100])])
    pairs = np.argwhere(queries @ MATRIX.T >= 0.75)
    listed = shortlists(file, queries, 64, 0.75)
    assert len(pairs) > 200
    assert np.mean([row in listed[query] for query, row in pairs.tolist()]) >= 0.99


def test_likelier_rows_stand_in_front(file):
    """The first is the right one, nearly always."""
    firsts = [rows[0] for rows in shortlists(file, MATRIX, 64, 0.75)]
    assert np.mean(np.array(firsts) == EVERY) >= 0.9


def test_a_floor_leaves_out_what_is_far(file):
    """Fewer rows to score again, the higher it is."""
    counts = [
        sum(len(rows) for rows in shortlists(file, MATRIX[:100], 500, floor))
        for floor in (-1.0, 0.5, 0.9)
    ]
    assert counts[0] > counts[1] > counts[2]
    assert counts[2] < counts[0] / 10


def test_a_low_floor_leaves_no_list_out(file):
    """As many are looked into as may be, however far their centres are."""
    assert all(len(rows) == 500 for rows in shortlists(file, MATRIX[:100], 500, 0.0))


def test_no_list_is_longer_than_asked_for_or_holds_fillers(file):
    """Up to so many labels, each one that was stored, each once."""
    for count in (1, 64, 2 * ROWS):
        for rows in shortlists(file, MATRIX[:20], count, -1.0):
            assert 1 <= len(rows) <= count
            assert len(set(rows.tolist())) == len(rows)
            assert rows.min() >= 0


def test_rows_unlike_those_it_was_trained_with_are_found():
    """A subject that comes up later is kept worse by the codes, and listed all the same."""
    random = np.random.default_rng(3)
    one, other = random.standard_normal((2, 1, 384)) / np.sqrt(384)
    first = unit(clustered(1000, 384) + 1.0 * one)
    later = unit(clustered(500, 384, seed=1) + 1.0 * other)
    draft = made(first).copy()
    draft.add(np.arange(1000, 1500), later)
    file = draft.finished()
    for floor in (0.75, 0.9, 0.99):
        assert share_found(file, later, np.arange(1000, 1500), floor) >= 0.99
        assert share_found(file, first, np.arange(1000), floor) >= 0.99


def test_a_change_leaves_the_one_before_as_it_was(file):
    """Whoever searches it is not disturbed."""
    before = shortlists(file, MATRIX[:50], 64, 0.5)
    draft = file.copy()
    draft.remove(EVERY[::2])
    draft.add(np.arange(ROWS, ROWS + 500), clustered(500, DIMENSION, seed=2))
    changed = draft.finished()
    assert (len(file), len(changed)) == (ROWS, ROWS // 2 + 500)
    after = shortlists(file, MATRIX[:50], 64, 0.5)
    assert all(map(np.array_equal, before, after))


def test_what_was_removed_is_listed_no_more(file):
    """And takes nothing else with it."""
    draft = file.copy()
    draft.remove(EVERY[::2])
    changed = draft.finished()
    assert share_found(changed, MATRIX[::2], EVERY[::2], 0.5) == 0
    assert share_found(changed, MATRIX[1::2], EVERY[1::2], 0.75) >= 0.999


def test_removing_what_is_not_there_changes_nothing(file):
    """Labels may have gone before."""
    draft = file.copy()
    draft.remove(np.array([ROWS + 5, 10**12]))
    assert len(draft.finished()) == ROWS


def test_rows_that_come_after_removals_are_found(file):
    """FAISS leaves codes behind in blocks half filled, and mixes what comes later with them."""
    present = file
    for cycle in range(6):
        draft = present.copy()
        draft.remove(EVERY[cycle % 3 :: 3])
        draft.add(EVERY[cycle % 3 :: 3], MATRIX[cycle % 3 :: 3])
        present = draft.finished()
        assert len(present) == ROWS
        assert share_found(present, MATRIX, EVERY, 0.75) >= 0.999


def test_rows_that_come_one_by_one_after_removals_are_found(file):
    """Also where lists end within a block, however full it is."""
    draft = file.copy()
    for label in range(0, 200, 2):
        draft.remove(np.array([label, label + 1]))
        draft.add(np.array([label]), MATRIX[label : label + 1])
    present = draft.finished()
    kept = np.arange(0, 200, 2)
    assert len(present) == ROWS - 100
    assert share_found(present, MATRIX[kept], kept, 0.75) == 1.0


@pytest.mark.parametrize("dimension", [32, 33, 39, 40, 384])
def test_any_dimension_is_coded(dimension):
    """Those that are no whole number of codes too."""
    matrix = clustered(400, dimension)
    assert share_found(made(matrix), matrix, np.arange(400), 0.9) >= 0.99


def test_an_empty_one_lists_nothing():
    """Trained, and nothing added yet."""
    file = InvertedFile.trained(MATRIX, 32)
    assert (len(file), [len(rows) for rows in shortlists(file, MATRIX[:3], 64, -1.0)]) == (
        0,
        [0] * 3,
    )


def test_memory_is_counted_by_the_row(file):
    """Half a byte a number for two, eight for the label, and the centres."""
    draft = file.copy()
    draft.remove(EVERY[::2])
    assert draft.finished().bytes < file.bytes
    assert file.bytes >= ROWS * (DIMENSION // 8 + 8) + 32 * DIMENSION * 4


@pytest.fixture
def three_threads():
    """An application that lets FAISS use three."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    yield
    faiss.omp_set_num_threads(before)


@pytest.mark.parametrize(
    "call",
    [
        lambda file: best_rows(MATRIX, MATRIX[:9], 4),
        lambda file: InvertedFile.trained(MATRIX, 8),
        lambda file: shortlists(file, MATRIX[:9], 4, 0.5),
        lambda file: file.copy().add(EVERY[:9], MATRIX[:9]),
        lambda file: file.copy().remove(EVERY[:9]),
    ],
    ids=["best_rows", "trained", "shortlist", "add", "remove"],
)
@pytest.mark.usefixtures("three_threads")
def test_the_callers_thread_setting_is_put_back(file, call):
    """An application that uses FAISS itself keeps its number of threads."""
    call(file)
    assert faiss.omp_get_max_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_the_callers_thread_setting_is_put_back_after_an_error():
    """Also where FAISS refuses."""
    with pytest.raises(RuntimeError):
        InvertedFile.trained(MATRIX[:4], 8)
    assert faiss.omp_get_max_threads() == 3


def test_the_best_rows_come_best_first():
    """What a full sort in float64 puts in front."""
    matrix = unit_matrix(np.random.default_rng(1).standard_normal((9000, 16)), 16)
    truth = matrix[:5].astype(np.float64) @ matrix.T.astype(np.float64)
    rows, scores = best_rows(matrix, matrix[:5], 20)
    assert np.array_equal(rows, np.argsort(-truth, axis=1)[:, :20])
    assert np.allclose(scores, np.take_along_axis(truth, rows, axis=1), atol=1e-6)

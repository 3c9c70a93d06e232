"""Steps of compaction: what they do, what they leave alone, and what happens when they fail."""

import numpy as np
import pytest

from index.rows import BLOCK_ROWS
from index.segments import Segments
from tests.index.halfway import TO_ENTER, TO_LET_GO, TO_TAKE, Halfway
from tests.index.making import (
    clustered,
    exact_partition,
    half_sealed_partition,
    ids_of,
    near,
    sealed_partition,
)

ROWS, DIMENSION = 300, 64
MATRIX = clustered(ROWS, DIMENSION)
OTHERS = clustered(ROWS, DIMENSION, seed=1)
LARGE = clustered(3 * BLOCK_ROWS, 32)


def found_alone(partition: Halfway, matrix: np.ndarray) -> list:
    """What stands at the place of each row."""
    return [ids_of(found) for found in partition.search_many(matrix, 1, 0.97)]


def each(first: int, last: int) -> list:
    """These ids, each found alone."""
    return [[id_] for id_ in range(first, last)]


@pytest.mark.parametrize("moment", [TO_TAKE, TO_ENTER, TO_LET_GO])
@pytest.mark.parametrize("make", [exact_partition, half_sealed_partition])
def test_changes_in_the_middle_of_a_step_count(make, moment):
    """Removed, replaced, added, added again: each is true then, and when the step has ended."""
    partition = make(MATRIX)
    partition.begin_step(moment)
    for id_ in [*range(10), *range(200, 210)]:
        assert partition.remove(id_)
    partition.add_many(range(20, 30), OTHERS[20:30])
    partition.add_many(range(220, 230), OTHERS[220:230])
    partition.add_many(range(ROWS, ROWS + 10), OTHERS[:10])
    partition.add_many(range(5), MATRIX[:5])
    for _ in range(2):
        assert found_alone(partition, MATRIX[:10]) == each(0, 5) + [[]] * 5
        assert found_alone(partition, MATRIX[200:210]) == [[]] * 10
        assert found_alone(partition, MATRIX[20:30]) == [[]] * 10
        assert found_alone(partition, OTHERS[20:30]) == each(20, 30)
        assert found_alone(partition, OTHERS[220:230]) == each(220, 230)
        assert found_alone(partition, OTHERS[:10]) == each(ROWS, ROWS + 10)
        assert partition.size() == ROWS - 15 + 10
        partition.compact()


def test_all_may_go_while_it_is_being_sealed():
    """Nothing is left, and the step ends well."""
    partition = exact_partition(MATRIX)
    partition.begin_step()
    for id_ in range(ROWS):
        partition.remove(id_)
    partition.compact()
    assert partition.size() == 0
    assert partition.search(MATRIX[0], 5) == []


def test_a_sealed_segment_whose_rows_all_died_takes_in_the_next():
    """It is empty, and still the one there is."""
    partition = sealed_partition(MATRIX[:80])
    partition.add_many(range(100, 180), MATRIX[100:180])
    for id_ in range(80):
        partition.remove(id_)
    partition.compact()
    assert found_alone(partition, MATRIX[100:180]) == each(100, 180)
    assert (len(partition.segments.sealed), partition.segments.sealed.dead) == (80, 0)


def test_little_is_made_exact_again():
    """What was sealed and is left stands in exact segments."""
    partition = sealed_partition(MATRIX)
    for id_ in range(ROWS - 32):
        partition.remove(id_)
    partition.compact()
    assert partition.segments.sealed is None
    assert found_alone(partition, MATRIX[ROWS - 32 :]) == each(ROWS - 32, ROWS)


def test_changes_while_all_is_made_exact_again_count():
    """What is removed or replaced meanwhile is not brought back."""
    partition = sealed_partition(MATRIX)
    for id_ in range(32, ROWS):
        partition.remove(id_)
    partition.begin_step(stops_at=2)
    partition.remove(0)
    partition.add(1, OTHERS[1])
    partition.compact()
    assert partition.size() == 31
    assert found_alone(partition, MATRIX[:32]) == [[], [], *each(2, 32)]
    assert found_alone(partition, OTHERS[1:2]) == [[1]]


def test_a_partition_goes_to_and_fro_without_drifting():
    """Sealed and made exact again and again, similarities move once."""
    partition = sealed_partition(MATRIX[:80])
    for id_ in range(20, 80):
        partition.remove(id_)
    partition.compact()
    before = partition.search_many(MATRIX[:20], 5)
    for _ in range(3):
        partition.add_many(range(20, 80), MATRIX[20:80])
        partition.compact()
        assert partition.segments.sealed is not None
        for id_ in range(20, 80):
            partition.remove(id_)
        partition.compact()
    for found, first in zip(partition.search_many(MATRIX[:20], 5), before, strict=True):
        assert ids_of(found) == ids_of(first)
        for match, other in zip(found, first, strict=True):
            assert match.similarity == pytest.approx(other.similarity, abs=1e-6)


def test_lists_are_made_anew_when_there_are_many_more():
    """And all that was sealed before is in them."""
    partition = sealed_partition(MATRIX[:80])
    before = partition.segments.sealed.trained_for
    partition.add_many(range(80, ROWS), MATRIX[80:])
    partition.remove(7)
    partition.compact()
    assert (before, partition.segments.sealed.trained_for) == (80, ROWS - 1)
    assert partition.segments.sealed.dead == 0
    assert found_alone(partition, MATRIX) == [*each(0, 7), [], *each(8, ROWS)]


def test_memory_of_what_was_removed_goes_back():
    """Rows move forward until blocks at the end are free, and are found where they went."""
    partition = sealed_partition(LARGE)
    before = partition.segments.bytes
    for id_ in range(2 * BLOCK_ROWS + 5000):
        partition.remove(id_)
    partition.compact()
    assert partition.segments.sealed.rows.capacity == BLOCK_ROWS
    assert partition.segments.bytes < 0.7 * before
    rows = slice(2 * BLOCK_ROWS + 5000, None, 37)
    ids = range(len(LARGE))[rows]
    assert found_alone(partition, LARGE[rows]) == [[id_] for id_ in ids]


def test_changes_while_rows_are_moved_count():
    """What is removed or replaced meanwhile does not come back at its new place."""
    partition, first = sealed_partition(LARGE), 2 * BLOCK_ROWS + 5000
    for id_ in range(first):
        partition.remove(id_)
    assert partition.step()
    assert partition.segments.sealed.dead == 0
    partition.begin_step()
    for id_ in range(first, first + 50):
        partition.remove(id_)
    partition.add_many(range(first + 50, first + 100), LARGE[:50])
    partition.compact()
    assert found_alone(partition, LARGE[first : first + 100]) == [[]] * 100
    assert found_alone(partition, LARGE[:50]) == each(first + 50, first + 100)
    assert partition.size() == len(LARGE) - first - 50


def test_rows_are_not_moved_where_they_are_still_read():
    """Slots are short while an old view is open; the step says that nothing can be done."""
    partition = sealed_partition(LARGE)
    view = partition.open_view()
    for id_ in range(2 * BLOCK_ROWS + 5000):
        partition.remove(id_)
    partition.compact()
    assert partition.segments.sealed.rows.capacity == 3 * BLOCK_ROWS
    assert ids_of(view.nearest_many(LARGE[:1], 1, 0.97)[0]) == [0]
    partition.close_view(view)
    partition.compact()
    assert partition.segments.sealed.rows.capacity == BLOCK_ROWS


@pytest.fixture
def unusable():
    """A row that can't be sealed: checked vectors are never like this."""
    return np.full(DIMENSION, np.nan, np.float32)


@pytest.mark.parametrize("sealed_before", [0, 80, 200])
def test_a_step_that_fails_changes_nothing(sealed_before, unusable):
    """Whether new lists are made, or made anew, or copied: found is what was found before."""
    partition = Halfway(Segments(DIMENSION))
    partition.add_many(range(sealed_before), MATRIX[:sealed_before])
    partition.compact()
    partition.add_many(range(sealed_before, ROWS), MATRIX[sealed_before:])
    for id_ in range(0, ROWS, 10):
        partition.remove(id_)
    partition.add("bad", unusable)
    sealed = partition.segments.sealed
    before = (sealed and (sealed.bytes, len(sealed), sealed.dead), partition.size())
    expected = [[] if id_ % 10 == 0 else [id_] for id_ in range(ROWS)]
    for _ in range(2):
        with np.errstate(all="raise"), pytest.raises((RuntimeError, FloatingPointError)):
            partition.compact()
        after = (sealed and (sealed.bytes, len(sealed), sealed.dead), partition.size())
        assert after == before
        assert found_alone(partition, MATRIX) == expected
    partition.remove("bad")
    partition.compact()
    assert found_alone(partition, MATRIX) == expected
    stats = partition.segments.sealed
    assert (len(stats), stats.dead, partition.segments.exact_rows) == (partition.size(), 0, 0)


def test_a_failed_step_leaves_no_dead_row_to_be_found(unusable):
    """What it was about to leave out stays out of every answer."""
    partition = sealed_partition(np.concatenate([MATRIX, near(MATRIX[0], 3)]))
    partition.remove(ROWS)
    partition.add("bad", unusable)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        partition.compact()
    partition.remove(ROWS + 1)
    assert set(ids_of(partition.search(MATRIX[0], 9, 0.97))) == {0, ROWS + 2}


def test_a_failed_step_holds_no_dead_row_back(unusable):
    """It reads no longer: what is removed from exact segments is reclaimed at once."""
    partition = exact_partition(MATRIX)
    partition.add("bad", unusable)
    with np.errstate(all="raise"), pytest.raises(RuntimeError):
        partition.compact()
    for id_ in range(100):
        partition.remove(id_)
    assert partition.segments.exact_rows == partition.size() == ROWS - 99

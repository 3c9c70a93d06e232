"""A view sees the moment it was opened, whatever is done to the partition meanwhile."""

import numpy as np
import pytest

from index.segments import SegmentsView
from tests.index.making import (
    PARTITIONS,
    being_compacted,
    clustered,
    ids_of,
    near,
    sealed_partition,
)

ROWS, DIMENSION = 300, 64
MATRIX = clustered(ROWS, DIMENSION)
OTHERS = clustered(ROWS, DIMENSION, seed=1)
EACH = list(range(ROWS))


@pytest.fixture(params=PARTITIONS)
def partition(request):
    """Row i of MATRIX under id i, in every state."""
    partition = PARTITIONS[request.param](MATRIX)
    yield partition
    partition.compact()


def answers(view: SegmentsView) -> list:
    """What it finds, of each row and around some."""
    return [view.nearest_many(MATRIX, 1, 0.9), view.nearest_many(MATRIX[::20], 10, 0.5)]


def test_later_changes_do_not_reach_a_view(partition):
    """Removed, replaced and added: for the view it has not happened."""
    view = partition.open_view()
    before = answers(view)
    assert [ids_of(found) for found in before[0]] == [[id_] for id_ in EACH]
    for id_ in range(0, ROWS, 3):
        partition.remove(id_)
    partition.add_many(range(1, ROWS, 3), OTHERS[1::3])
    partition.add_many(range(ROWS, 2 * ROWS), near(MATRIX[0], ROWS))
    assert answers(view) == before
    partition.close_view(view)


def test_compaction_does_not_reach_a_view(partition):
    """Nor what is reclaimed, and sealed while the view is open."""
    view = partition.open_view()
    before = answers(view)
    for id_ in range(0, ROWS, 3):
        partition.remove(id_)
    partition.add_many(range(ROWS, 2 * ROWS), OTHERS)
    partition.compact()
    assert answers(view) == before
    partition.close_view(view)


def test_a_view_keeps_its_moment_when_all_is_made_exact_again(partition):
    """So few are left that what was sealed goes; the view still reads it."""
    view = partition.open_view()
    before = answers(view)
    for id_ in EACH[10:]:
        partition.remove(id_)
    partition.compact()
    assert partition.segments.sealed is None
    assert answers(view) == before
    partition.close_view(view)


def test_views_of_many_moments_each_see_their_own(partition):
    """Between one removal and the next a view is opened; each finds what was left then."""
    views = []
    for id_ in range(0, ROWS, 20):
        views.append((partition.open_view(), set(range(0, id_, 20))))
        partition.remove(id_)
    for view, gone in views:
        for id_ in range(0, ROWS, 20):
            assert ids_of(view.nearest_many(MATRIX[id_ : id_ + 1], 1, 0.97)[0]) == (
                [] if id_ in gone else [id_]
            )
        partition.close_view(view)


def test_dead_rows_are_not_found_while_they_are_being_left_out():
    """A view opened in the middle of a step looks into a file that still has them."""
    partition = being_compacted(MATRIX)
    half = ROWS // 2
    for id_ in range(half):
        partition.remove(id_)
    for id_ in range(half):
        assert ids_of(partition.search(MATRIX[id_], 10, 0.99)) == []
    partition.compact()


def test_the_only_dead_rows_are_those_being_left_out():
    """Nothing died since the step began, and yet the file holds dead rows."""
    partition = sealed_partition(MATRIX)
    gone = EACH[::10]
    for id_ in gone:
        partition.remove(id_)
    partition.begin_step()
    for id_ in gone:
        assert id_ not in ids_of(partition.search(MATRIX[id_], 10))
    partition.compact()
    assert partition.segments.sealed.dead == 0


@pytest.fixture
def crowded():
    """Among 3,000 rows 400 that are hardly to be told from the first, and how many are near it."""
    matrix = clustered(3000, DIMENSION)
    crowd = near(matrix[0], 400, apart=0.002)
    return sealed_partition(np.concatenate([matrix, crowd])), matrix[0], matrix @ matrix[0] >= 0.75


def test_the_dead_do_not_crowd_out_the_living(crowded):
    """Hundreds of near-identical dead rows around the query take no place."""
    partition, query, is_near = crowded
    for id_ in range(3000, 3400):
        partition.remove(id_)
    assert partition.segments.sealed.dead == 400
    assert set(ids_of(partition.search(query, 100, 0.75))) == set(np.flatnonzero(is_near))


def test_the_dead_do_not_crowd_out_the_last_of_their_kind(crowded):
    """Also where one living row stands among them."""
    partition, query, is_near = crowded
    for id_ in range(3000, 3399):
        partition.remove(id_)
    assert set(ids_of(partition.search(query, 2, 0.75))) == {0, 3399}
    found = partition.search(query, 100, 0.75)
    assert set(ids_of(found)) == {*np.flatnonzero(is_near), 3399}


def test_the_dead_do_not_crowd_out_those_left_among_them(crowded):
    """One of ten lives: a shortlist that has some of them is no reason to stop."""
    partition, query, _ = crowded
    kept = range(3000, 3400, 10)
    for id_ in range(3000, 3400):
        if id_ not in kept:
            partition.remove(id_)
    found = partition.search(query, len(kept) + 1, 0.75)
    assert set(ids_of(found)) == {0, *kept}

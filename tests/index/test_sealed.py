"""Slots, deaths and files of a sealed segment."""

import numpy as np
import pytest

from index.approximate import InvertedFile
from index.rows import BLOCK_ROWS
from index.sealed import Sealed
from tests.index.making import clustered, ids_of

ROWS, DIMENSION = 200, 32
MATRIX = clustered(3 * ROWS, DIMENSION)
ALL = np.ones(ROWS, bool)


def seal(sealed: Sealed, ids, matrix: np.ndarray, live=None) -> None:
    """One whole step: leave the dead out, take slots, fill them, publish."""
    gone = sealed.take_dead()
    slots = sealed.take(len(ids))
    draft = (sealed.file if len(sealed) else InvertedFile.trained(MATRIX, 8)).copy()
    draft.remove(gone)
    sealed.rows.fill(slots, matrix)
    draft.add(slots, matrix)
    live = np.ones(len(ids), bool) if live is None else live
    sealed.publish(draft.finished(), slots, list(ids), live)


@pytest.fixture
def sealed():
    """Row i of MATRIX under id i."""
    sealed = Sealed(DIMENSION)
    seal(sealed, range(ROWS), MATRIX[:ROWS])
    return sealed


def found_by(view, row: int) -> list:
    """What is found at the place of a row."""
    return ids_of(view.nearest(MATRIX[row], 1, 0.99))


def slots_taken(sealed: Sealed, count: int) -> set[int]:
    """The next slots, which are given back at once."""
    slots = sealed.take(count)
    sealed.give_back(slots)
    return set(slots.tolist())


def test_what_was_published_is_found(sealed):
    """Each row, under its id."""
    view = sealed.open_view()
    assert [found_by(view, row) for row in range(ROWS)] == [[row] for row in range(ROWS)]


def test_one_query_is_answered_as_many_are(sealed):
    """`nearest` is `nearest_many` of one."""
    view = sealed.open_view()
    assert view.nearest(MATRIX[0], 9, 0.1) == view.nearest_many(MATRIX[:1], 9, 0.1)[0]


def test_what_died_while_it_was_sealed_is_not_found(sealed):
    """It enters the file, and is dead there from the first moment."""
    live = np.arange(ROWS) % 2 == 0
    seal(sealed, range(ROWS, 2 * ROWS), MATRIX[ROWS : 2 * ROWS], live)
    view = sealed.open_view()
    for row in range(ROWS, 2 * ROWS):
        assert found_by(view, row) == ([row] if row % 2 == 0 else [])
        assert (row in sealed) == (row % 2 == 0)
    assert (len(sealed), sealed.dead) == (ROWS + ROWS // 2, ROWS // 2)


def test_what_an_id_held_before_dies(sealed):
    """Published again, an id is at its new place alone."""
    seal(sealed, range(ROWS), MATRIX[ROWS : 2 * ROWS])
    view = sealed.open_view()
    assert [found_by(view, row) for row in (0, ROWS)] == [[], [0]]
    assert (len(sealed), sealed.dead) == (ROWS, ROWS)


def test_a_removed_row_takes_room_until_it_is_left_out(sealed):
    """Dead, then being left out, then gone."""
    for id_ in range(50):
        assert sealed.remove(id_)
        assert not sealed.remove(id_)
    assert (len(sealed), sealed.dead) == (ROWS - 50, 50)
    seal(sealed, [], MATRIX[:0])
    assert (len(sealed), sealed.dead, len(sealed.file)) == (ROWS - 50, 0, ROWS - 50)


def test_slots_of_the_dead_are_given_out_again(sealed):
    """Once a file without them is searched, and nobody reads the one before."""
    for id_ in range(50):
        sealed.remove(id_)
    assert min(slots_taken(sealed, 50)) >= ROWS
    seal(sealed, [], MATRIX[:0])
    assert slots_taken(sealed, 50) == set(range(50))


def test_slots_are_kept_while_an_older_view_is_open(sealed):
    """It may still find them; the views that came later may not."""
    view = sealed.open_view()
    for id_ in range(50):
        sealed.remove(id_)
    seal(sealed, [], MATRIX[:0])
    later = sealed.open_view()
    assert min(slots_taken(sealed, 50)) >= ROWS
    seal(sealed, range(500, 550), MATRIX[ROWS : ROWS + 50])
    assert [found_by(view, row) for row in range(50)] == [[row] for row in range(50)]
    sealed.close_view(view)
    assert slots_taken(sealed, 50) == set(range(50))
    sealed.close_view(later)


def test_a_view_opened_between_removal_and_the_next_file_holds_slots_too(sealed):
    """It does not find the dead, and yet its file names their slots."""
    for id_ in range(50):
        sealed.remove(id_)
    view = sealed.open_view()
    seal(sealed, [], MATRIX[:0])
    assert min(slots_taken(sealed, 50)) >= ROWS
    seal(sealed, range(500, 550), MATRIX[ROWS : ROWS + 50])
    assert [found_by(view, row) for row in range(50)] == [[]] * 50
    assert [found_by(view, row) for row in range(ROWS, ROWS + 50)] == [[]] * 50
    sealed.close_view(view)


def test_two_views_of_one_moment_are_both_waited_for(sealed):
    """The second one still reads when the first is closed."""
    views = [sealed.open_view(), sealed.open_view()]
    sealed.remove(0)
    seal(sealed, [], MATRIX[:0])
    sealed.close_view(views[0])
    assert 0 not in slots_taken(sealed, 1)
    sealed.close_view(views[1])
    assert 0 in slots_taken(sealed, 1)


def test_a_former_file_is_let_go_when_no_view_holds_it(sealed):
    """Not before, and the present one never."""
    view = sealed.open_view()
    seal(sealed, range(500, 510), MATRIX[ROWS : ROWS + 10])
    assert sealed.unread_files() == []
    assert sealed.has_former_files()
    sealed.close_view(view)
    assert sealed.unread_files() == [view.file]
    assert not sealed.has_former_files()
    assert sealed.unread_files() == []


def test_what_could_not_be_made_gives_back_what_it_took(sealed):
    """The slots are free again, and the dead wait for the next step."""
    for id_ in range(50):
        sealed.remove(id_)
    sealed.take_dead()
    slots = sealed.take(70)
    sealed.remove(60)
    sealed.give_back(slots)
    assert sealed.dead == 51
    assert slots_taken(sealed, 70) == set(slots.tolist())
    assert found_by(sealed.open_view(), 0) == []
    assert set(sealed.take_dead().tolist()) == {*range(50), 60}


def test_ids_and_slots_tell_what_is_live(sealed):
    """After removals and a second batch."""
    for id_ in range(0, ROWS, 2):
        sealed.remove(id_)
    seal(sealed, ["a", "b"], MATRIX[ROWS : ROWS + 2])
    assert set(sealed.ids()) == {*range(1, ROWS, 2), "a", "b"}
    ids = sealed.rows.ids[sealed.live_slots()].tolist()
    assert sorted(map(str, ids)) == sorted(map(str, sealed.ids()))
    assert sealed.are_at(ids, sealed.live_slots()).all()
    assert not sealed.are_at(ids, sealed.live_slots() + 1).any()


def test_it_is_sparse_when_more_than_half_of_the_slots_are_free():
    """And a block on top, so that small ones are left alone."""
    sealed, rows = Sealed(DIMENSION), 3 * BLOCK_ROWS
    seal(sealed, range(rows), np.resize(MATRIX, (rows, DIMENSION)))
    for id_ in range(BLOCK_ROWS // 2, rows):
        assert not sealed.is_sparse()
        sealed.remove(id_)
    sealed.remove(0)
    assert sealed.is_sparse()


def test_an_id_of_another_kind_is_another_id(sealed):
    """The number 1 and the text "1" are two entries."""
    seal(sealed, ["1"], MATRIX[ROWS : ROWS + 1])
    assert sealed.remove("1")
    assert 1 in sealed
    assert found_by(sealed.open_view(), 1) == [1]

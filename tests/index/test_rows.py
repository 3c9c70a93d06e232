"""Slots for ids and codes: given out, filled, freed, given out again."""

import numpy as np
import pytest

from index.quantised import code_bytes
from index.rows import BLOCK_ROWS, FEW, ID_BYTES, NEVER, RowStore
from tests.index.making import CODED_WITHIN, clustered

DIMENSION = 33
MATRIX = clustered(2 * BLOCK_ROWS, DIMENSION)


@pytest.fixture
def store():
    """No slots yet."""
    return RowStore(DIMENSION)


def filled(store: RowStore, count: int) -> np.ndarray:
    """`count` slots with row i of MATRIX under id i."""
    slots = store.take(count)
    store.fill(slots, MATRIX[:count])
    store.revive(slots, range(count))
    return slots


def test_the_lowest_free_slots_are_given_out_first(store):
    """So that the end empties, and can be let go."""
    assert store.take(3).tolist() == [0, 1, 2]
    assert store.take(2).tolist() == [3, 4]
    store.give([3, 0])
    assert store.take(3).tolist() == [0, 3, 5]


def test_no_slot_is_given_out_twice(store):
    """Over several blocks, whatever came back in between."""
    held: set[int] = set()
    random = np.random.default_rng(0)
    for _ in range(20):
        taken = store.take(3000).tolist()
        assert not held & set(taken)
        held |= set(taken)
        back = random.choice(sorted(held), 2000, replace=False).tolist()
        store.give(back)
        held -= set(back)


def test_a_new_slot_counts_as_dead(store):
    """Until it holds something nobody sees it."""
    slots = store.take(5)
    assert (store.died[slots] < 1).all()
    assert not len(store.living())


def test_what_was_filled_in_comes_back(store):
    """Codes, ids and life, in whatever order slots are named, few or many, over two blocks."""
    filled(store, BLOCK_ROWS + 500)
    for count in (1, 16, FEW, FEW + 1, 3000):
        slots = np.random.default_rng(count).permutation(BLOCK_ROWS + 500)[:count]
        assert np.abs(store.decoded(slots) - MATRIX[slots]).max() < CODED_WITHIN
        assert store.ids[slots].tolist() == slots.tolist()
        assert (store.died[slots] == NEVER).all()


def test_a_slot_that_is_filled_again_holds_the_new_row_alone(store):
    """Nothing of the former code is left."""
    slots = filled(store, 10)
    store.give(slots.tolist())
    again = store.take(10)
    store.fill(again, MATRIX[20:30])
    assert np.abs(store.decoded(again) - MATRIX[20:30]).max() < CODED_WITHIN


@pytest.mark.parametrize("count", [4, 200, 5000])
@pytest.mark.parametrize("floor", [-1.0, 0.0, 0.75, 0.9])
def test_of_few_slots_those_that_reach_the_floor_are_told(store, count, floor):
    """By their ids, which here are the numbers of the slots."""
    slots = filled(store, 5000)[::-1][:count]
    query = MATRIX[slots[3]]
    near, scores = store.similar(slots, query, floor)
    truth = store.decoded(slots) @ query
    assert near == [s for s, t in zip(slots.tolist(), truth, strict=True) if t >= floor]
    assert scores == pytest.approx(MATRIX[near] @ query, abs=CODED_WITHIN)


def test_a_similarity_does_not_depend_on_the_slots_beside_it(store):
    """Alone or among hundreds, the same bits."""
    slots = filled(store, 600)
    _, together = store.similar(slots, MATRIX[0], -1.0)
    alone = [store.similar(slots[row : row + 1], MATRIX[0], -1.0)[1][0] for row in range(600)]
    assert together == alone


def test_opposite_vectors_pass_the_lowest_floor(store):
    """Rounding takes some a little below -1."""
    slots = filled(store, 300)
    for row in range(300):
        assert len(store.similar(slots[row : row + 1], -MATRIX[row], -1.0)[0]) == 1


def test_whole_blocks_at_the_end_are_let_go(store):
    """When nothing is in the last block, its memory goes back."""
    filled(store, 2 * BLOCK_ROWS)
    store.give(range(BLOCK_ROWS + 1, 2 * BLOCK_ROWS))
    assert store.capacity == 2 * BLOCK_ROWS
    store.give([BLOCK_ROWS])
    assert store.capacity == BLOCK_ROWS
    store.give(range(BLOCK_ROWS))
    assert (store.capacity, store.bytes) == (0, 0)
    assert store.take(1).tolist() == [0]


def test_a_block_that_is_let_go_and_made_again_holds_nothing(store):
    """Slots of its former life are not alive in the new one."""
    filled(store, BLOCK_ROWS)
    store.give(range(BLOCK_ROWS))
    store.take(1)
    assert not len(store.living())


def test_bytes_are_those_of_codes_and_of_ids_in_use(store):
    """Spare slots of a block take their codes, and no id."""
    filled(store, 100)
    one_id = ID_BYTES + store.ids.itemsize + store.died.itemsize
    assert store.bytes == BLOCK_ROWS * code_bytes(DIMENSION) + 100 * one_id


def test_free_slots_before_one_are_counted(store):
    """Those with lower numbers, and not itself."""
    store.take(10)
    store.give([2, 5, 7])
    assert [store.free_before(slot) for slot in (0, 3, 5, 6, 10)] == [0, 1, 1, 2, 3]


def test_ids_of_every_kind_are_kept_as_they_are(store):
    """Text stays text, a number a number, however large."""
    slots = store.take(4)
    store.fill(slots, MATRIX[:4])
    store.revive(slots, ["", 10**30, "text", -1])
    assert store.ids[slots].tolist() == ["", 10**30, "text", -1]

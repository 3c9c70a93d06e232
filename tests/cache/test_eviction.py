import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache.eviction import Ranking, credit


def test_cheapest_goes_first() -> None:
    """Of entries of one size the one whose hit saves least goes first."""
    ranking = Ranking()
    for slot, value in enumerate([2000.0, 100.0, 500.0]):
        ranking.add(slot, value, 1000)
    assert [ranking.pop_cheapest() for _ in range(4)] == [1, 2, 0, None]


def test_largest_goes_first() -> None:
    """Of entries that save the same the largest goes first."""
    ranking = Ranking()
    for slot, size in enumerate([1_000, 10_000, 100]):
        ranking.add(slot, 500.0, size)
    assert [ranking.pop_cheapest() for _ in range(3)] == [1, 0, 2]


def test_least_recently_used_goes_first_among_equals() -> None:
    """Entries alike in value and size leave in the order of their last use."""
    ranking = Ranking()
    for slot in range(4):
        ranking.add(slot, 500.0, 1000)
    for slot in (0, 3, 1):
        ranking.touch(slot)
    assert [ranking.pop_cheapest() for _ in range(4)] == [2, 0, 3, 1]


def test_dear_but_unused_ages_out() -> None:
    """What was dear once and is never used gives way to cheap entries that keep coming."""
    ranking = Ranking()
    ranking.add(0, 1000.0, 1000)
    for slot in range(1, 100):
        ranking.add(slot, 100.0, 1000)
        if ranking.pop_cheapest() == 0:
            return
    pytest.fail("the unused entry stayed for ever")


def test_a_byte_does_not_outweigh_recency() -> None:
    """Entries of nearly one worth leave in the order of their last use."""
    ranking = Ranking()
    ranking.add(0, 500.0, 1000)
    ranking.add(1, 500.0, 1001)
    ranking.touch(0)
    ranking.touch(1)
    assert ranking.pop_cheapest() == 0


def test_popular_outlives_dear() -> None:
    """An entry that is used all the time stays, though others would save more in one hit."""
    ranking = Ranking()
    ranking.add(0, 100.0, 1000)
    for slot in range(1, 50):
        ranking.touch(0)
        ranking.add(slot, 300.0, 1000)
        if slot > 5:
            assert ranking.pop_cheapest() != 0


def test_once_popular_ages_out() -> None:
    """What was used a thousand times, long ago, goes in the end."""
    ranking = Ranking()
    ranking.add(0, 100.0, 1000)
    for _ in range(1000):
        ranking.touch(0)
    for slot in range(1, 100):
        ranking.add(slot, 100.0, 1000)
        if ranking.pop_cheapest() == 0:
            return
    pytest.fail("the entry stayed for ever")


def test_spared_slot_goes_last() -> None:
    """A newcomer is named only when there is nobody else, and keeps its rank meanwhile."""
    ranking = Ranking()
    ranking.add(0, 2000.0, 1000)
    ranking.add(1, 1.0, 1000)
    ranking.add(2, 3000.0, 1000)
    assert ranking.pop_cheapest(spare=1) == 0
    assert (len(ranking), ranking.pop_cheapest()) == (2, 1)
    assert [ranking.pop_cheapest(spare=2), ranking.pop_cheapest(spare=2)] == [2, None]


def test_removed_slot_is_not_evicted() -> None:
    """A slot that left for another reason is not named, also when it was the cheapest."""
    ranking = Ranking()
    ranking.add(0, 1.0, 1000)
    ranking.add(1, 500.0, 1000)
    ranking.remove(0)
    ranking.remove(0)
    assert (len(ranking), ranking.pop_cheapest(), ranking.pop_cheapest()) == (1, 1, None)


def test_reused_slot_has_its_own_rank() -> None:
    """A slot that was cheap and is dear now is ranked by what it holds now."""
    ranking = Ranking()
    ranking.add(0, 1.0, 1000)
    ranking.remove(0)
    ranking.add(0, 2000.0, 1000)
    ranking.add(1, 500.0, 1000)
    assert [ranking.pop_cheapest(), ranking.pop_cheapest()] == [1, 0]


def test_heap_is_bounded() -> None:
    """Entries that come and go leave no more than their own number behind in the heap."""
    ranking = Ranking()
    for turn in range(10_000):
        ranking.add(turn % 10, 500.0, 1000)
        ranking.remove(turn % 10)
    assert ranking.heap_length <= 2 * len(ranking) + 64


@pytest.mark.parametrize("value", [math.nan, -5.0, 0.0])
def test_worthless_value_is_the_least(value: float) -> None:
    """No value, a negative one and NaN count as nothing, and as no error."""
    assert credit(value, 100) == 1


@pytest.mark.parametrize(("value", "size"), [(math.inf, 1), (1e300, 1), (1e9, 0)])
def test_credit_is_bounded(value: float, size: int) -> None:
    """No value makes an entry stay for ever, or a rank too large to keep."""
    assert credit(value, size) <= 1 << 40


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "touch", "remove", "pop"]),
        st.integers(0, 7),
        st.floats(0, 1000),
        st.integers(1, 5000),
    ),
    max_size=200,
)


@given(STEPS)
def test_same_as_looking_at_all(steps: list[tuple[str, int, float, int]]) -> None:
    """The lazy heap names the same slot as a search through all ranks."""
    ranking = Ranking()
    clock, ranks, worth, uses = 0, dict[int, int](), dict[int, int](), dict[int, int]()
    for step, slot, value, size in steps:
        if step == "add" and slot not in ranks:
            ranking.add(slot, value, size)
            worth[slot], uses[slot] = credit(value, size), 0
        elif step == "remove":
            ranking.remove(slot)
            ranks.pop(slot, None)
            continue
        elif step == "pop":
            cheapest = min(ranks, key=lambda each: (ranks[each], each), default=None)
            assert ranking.pop_cheapest() == cheapest
            if cheapest is not None:
                clock = max(clock, ranks.pop(cheapest))
            continue
        elif step == "touch" and slot in ranks:
            ranking.touch(slot)
        else:
            continue
        clock += 1
        uses[slot] = min(uses[slot] + 1, 16)
        ranks[slot] = clock + worth[slot] * uses[slot]
    assert len(ranking) == len(ranks)

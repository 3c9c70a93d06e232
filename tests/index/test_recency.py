"""The order in which entries were used."""

import pytest

from index.recency import Recency


@pytest.fixture
def recency():
    """Three entries of two partitions, used in this order."""
    recency = Recency()
    recency.use("a", [1, 2])
    recency.use("b", [1])
    return recency


def oldest_first(recency: Recency) -> list:
    """All entries, as they would be lost."""
    order = []
    while len(recency):
        order.append(recency.oldest())
        recency.forget(order[-1][0], [order[-1][1]])
    return order


def test_what_was_used_first_is_the_oldest(recency):
    """Entries come in the order of their uses, each within its partition."""
    assert oldest_first(recency) == [("a", 1), ("a", 2), ("b", 1)]


def test_a_new_use_makes_an_entry_the_youngest(recency):
    """However old it was."""
    recency.use("a", [1])
    assert oldest_first(recency) == [("a", 2), ("b", 1), ("a", 1)]


def test_what_was_found_becomes_the_youngest(recency):
    """A touch is a use of what is there."""
    recency.touch("a", [1])
    assert oldest_first(recency) == [("a", 2), ("b", 1), ("a", 1)]


def test_what_was_found_and_is_gone_does_not_come_back(recency):
    """An entry removed while a search found it is not held again."""
    recency.forget("a", [1])
    recency.touch("a", [1])
    assert oldest_first(recency) == [("a", 2), ("b", 1)]


def test_forgetting_what_is_not_there_is_no_error(recency):
    """Two may remove the same entry."""
    recency.forget("a", [7])
    assert len(recency) == 3


def test_of_nothing_there_is_no_oldest():
    """Who asks has to know that there is one."""
    with pytest.raises(StopIteration):
        Recency().oldest()

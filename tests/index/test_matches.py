"""What was found, in order."""

from index.matches import merged, ranked
from index.protocol import Match


def test_the_best_come_first_and_no_more_than_asked_for():
    """By similarity, down to the k-th."""
    assert ranked(["a", "b", "c"], [0.1, 0.9, 0.5], 2) == [Match("b", 0.9), Match("c", 0.5)]


def test_ties_come_by_id_numbers_before_text():
    """Ids that cannot be compared stand side by side all the same."""
    found = ranked(["1", 2, "0", 1], [0.5] * 4, 4)
    assert [match.id for match in found] == [1, 2, "0", "1"]


def test_a_similarity_is_never_beyond_one():
    """Rounding takes some a little too far, either way."""
    assert ranked([1, 2], [1.0000001, -1.0000001], 2) == [Match(1, 1.0), Match(2, -1.0)]


def test_what_is_reported_as_equal_is_a_tie():
    """How far rounding took them beyond 1 does not decide."""
    found = ranked(["c", "b", "a"], [1.0000003, 1.0000001, 1.0], 2)
    assert found == [Match("a", 1.0), Match("b", 1.0)]


def test_several_lists_become_one():
    """The best of all, in order, ties by id whichever list they come from."""
    parts = [[Match("b", 0.9), Match("z", 0.5)], [], [Match("a", 0.9), Match("c", 0.7)]]
    assert merged(parts, 3) == [Match("a", 0.9), Match("b", 0.9), Match("c", 0.7)]


def test_of_nothing_found_nothing_is_made():
    """No list, and lists of nothing."""
    assert merged([], 3) == merged([[], []], 3) == []


def test_one_filled_list_is_the_answer():
    """It is in order already."""
    assert merged([[], [Match("a", 0.9), Match("b", 0.1)]], 2) == [Match("a", 0.9), Match("b", 0.1)]

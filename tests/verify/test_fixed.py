"""A fixed cosine and equal numbers, until confidence is calibrated."""

import pytest

from sidecar.reasons import Reason
from sidecar.verify.fixed import MIN_COSINE, FixedVerifier, Pair, Verdict

ASKED = "What are the top 5 films?"
SAME, OTHER = "Which are the top five films?", "What are the top 50 films?"


def judged(*candidates: tuple[str, float]) -> Verdict:
    """The verdict over these candidates, nearest first."""
    return FixedVerifier().judge(ASKED, [Pair(*candidate) for candidate in candidates])


def test_a_near_question_with_equal_numbers_is_served():
    """With its cosine as confidence."""
    assert judged((SAME, 0.95)) == Verdict(0, None, 0.95)


def test_the_threshold_itself_is_near_enough():
    """`≥`, as documented."""
    assert judged((SAME, MIN_COSINE)).served == 0


def test_beneath_the_threshold_nothing_is_served():
    """A near miss is told with its cosine."""
    assert judged((SAME, 0.9199)) == Verdict(None, Reason.BELOW_THRESHOLD, 0.9199)


def test_other_numbers_are_not_served_however_near():
    """The guard outranks the cosine."""
    assert judged((OTHER, 1.0)) == Verdict(None, Reason.NUMBERS_DIFFER, 1.0)


def test_a_vetoed_candidate_gives_way_to_the_next():
    """The first that passes is served, with its own confidence."""
    assert judged((OTHER, 0.99), (SAME, 0.95)) == Verdict(1, None, 0.95)


def test_the_reason_is_the_nearest_ones():
    """It explains the candidate that the reader sees."""
    assert judged((OTHER, 0.99), (SAME, 0.5)) == Verdict(None, Reason.NUMBERS_DIFFER, 0.99)


def test_without_candidates_nothing_was_found():
    """No confidence, since there is nothing to be confident about."""
    assert judged() == Verdict(None, Reason.NOT_FOUND, None)


@pytest.mark.parametrize("similarity", [float("nan"), float("-inf"), -1.0, 0.0])
def test_what_is_no_similarity_is_never_served(similarity):
    """A poisoned vector passes no threshold."""
    assert judged((SAME, similarity)).served is None


def test_a_cosine_rounded_above_one_is_one():
    """Float arithmetic may end a hair beyond."""
    assert judged((SAME, 1.0000001)).served == 0


def test_another_threshold_is_obeyed():
    """The operator's, once there is one."""
    assert FixedVerifier(0.5).judge(ASKED, [Pair(SAME, 0.6)]).served == 0

"""Numbers as they are written and read: a guard may veto and never approve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.reasons import Reason
from sidecar.verify.guards import numbers, why_numbers_differ

READ = [
    ("no figures here", ()),
    ("top 5 of 50", ("5", "50")),
    ("05 and 007", ("5", "7")),
    ("0 or 00", ("0", "0")),
    ("1,000 and 1,234,567.50", ("1000", "1234567.50")),
    ("1,00", ("1,00",)),
    (".5 is 0.5", ("0.5", "0.5")),
    ("-5, (-7) and 10-3", ("-5", "-7", "10", "3")),
    ("covid-19", ("19",)),
    ("version 1.10.2 at 10:30", ("1.10.2", "10:30")),
    ("3/4 cup, 5.", ("3/4", "5")),
    ("Five or fifth", ("5", "5")),
    ("the sixth, ninth and twentieth", ("6", "9", "20")),
    ("half a dozen, a quarter", ("1/2", "12", "1/4")),
    ("which one", ()),
    ("1st 2nd", ("1", "2")),
    ("٣ and ٤٢", ("3", "42")),
    ("５０", ("50",)),
    ("½ and ¼", ("1/2", "1/4")),
    ("1½ cups", ("1", "1/2")),
    ("½5", ("1/2", "5")),
    ("10² m", ("10", "2")),
    ("10⁵⁰", ("10", "50")),
    ("CO₂", ("2",)),
    ("\u22125 °C", ("-5",)),
    ("\u20135 °C", ("-5",)),
    ("pages 5\u201310", ("5", "10")),
    ("x2y3", ("2", "3")),
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_numbers_are_read_as_people_do(text, expected):
    """Every spelling of a figure has one form."""
    assert numbers(text) == expected


DIFFERENT = [
    ("top 5 films", "top 50 films"),
    ("temperature -5", "temperature 5"),
    ("temperature \u22125", "temperature 5"),
    ("temperature \u20135", "temperature 5"),
    ("python 3.1", "python 3.10"),
    ("1½ cups", "11/2 cups"),
    ("10² metres", "102 metres"),
    ("½5", "1/25"),
    ("the sixth amendment", "the seventh amendment"),
    ("the 1st amendment", "the 5th amendment"),
    ("from 3 to 5", "from 5 to 3"),
    ("two of 3", "two of 3 of 4"),
    ("a million", "a billion"),
    ("a billion", "a trillion"),
    ("double it", "triple it"),
    ("a third", "a quarter"),
    ("at 10:30", "at 10:45"),
    ("in 1999", "in nineteen"),
    ("٣ apples", "4 apples"),
    ("0.5 mg", "5 mg"),
    (".5 mg", "5 mg"),
    ("1,5 mg", "15 mg"),
    ("version 2", "version"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_numbers_are_vetoed(one, other):
    """From both sides: the answer to one is wrong for the other."""
    assert why_numbers_differ(one, other) is Reason.NUMBERS_DIFFER
    assert why_numbers_differ(other, one) is Reason.NUMBERS_DIFFER


SAME = [
    ("top 5 films", "the best five films"),
    ("1000 users", "1,000 users"),
    ("0.5 mg", ".5 mg"),
    ("½ cup", "1/2 cup"),
    ("half a cup", "½ a cup"),
    ("the 2nd law", "the second law"),
    ("\u22125 °C", "-5 °C"),
    ("Where is it?", "Where's that?"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_numbers_are_not_vetoed(one, other):
    """Another spelling is the same number."""
    assert why_numbers_differ(one, other) is None


TEXTS = st.text(
    alphabet=st.sampled_from("0123456789 .,-/:½²²٣５abone twofive()\u2013\u2212⑩三"), max_size=30
) | st.text(max_size=30)


@given(TEXTS)
def test_a_text_is_never_vetoed_against_itself(text):
    """The guard is reflexive, whatever is in the text."""
    assert why_numbers_differ(text, text) is None


@given(TEXTS, TEXTS)
def test_the_order_of_a_pair_does_not_matter(one, other):
    """The guard is symmetric."""
    assert why_numbers_differ(one, other) == why_numbers_differ(other, one)


def plain(number: int) -> str:
    """As most people type it."""
    return str(number)


def grouped(number: int) -> str:
    """In thousands."""
    return f"{number:,}"


def padded(number: int) -> str:
    """With leading zeros."""
    return f"{number:06d}"


def arabic(number: int) -> str:
    """In Arabic-Indic figures."""
    return "".join(chr(0x0660 + int(figure)) for figure in str(number))


def wide(number: int) -> str:
    """In full-width figures."""
    return "".join(chr(0xFF10 + int(figure)) for figure in str(number))


WRITERS = st.sampled_from([plain, grouped, padded, arabic, wide])
FRAMES = st.sampled_from(
    ["{}", "top {} films", "in {}?", "({})", "#{} of 3", "{} kg", "a{}", "x={}"]
)
COUNTS = st.integers(0, 10**9)


@given(FRAMES, COUNTS, COUNTS, WRITERS, WRITERS)
def test_a_changed_number_is_always_vetoed(frame, one, other, write_one, write_other):
    """In every script and spelling; and an unchanged one never is."""
    reason = why_numbers_differ(frame.format(write_one(one)), frame.format(write_other(other)))
    assert reason is (None if one == other else Reason.NUMBERS_DIFFER)


@given(FRAMES, COUNTS, WRITERS, WRITERS)
def test_another_spelling_of_a_number_is_never_vetoed(frame, number, write_one, write_other):
    """Equal numbers are equal however they are written."""
    one, other = frame.format(write_one(number)), frame.format(write_other(number))
    assert why_numbers_differ(one, other) is None


@given(st.lists(COUNTS, min_size=2, max_size=4, unique=True), st.data())
def test_numbers_in_another_order_are_vetoed(counts, data):
    """From 3 to 5 is not from 5 to 3."""
    order = data.draw(st.permutations(counts))
    one, other = (" and ".join(map(str, places)) for places in (counts, order))
    assert (why_numbers_differ(one, other) is None) == (counts == list(order))

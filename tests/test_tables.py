"""Tables for spreadsheets."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from sidecar.tables import csv_of


def test_columns_are_the_rows_own():
    """In their order, with a head."""
    assert csv_of([{"b": 1, "a": "x"}]) == "b,a\r\n1,x\r\n"


def test_without_rows_there_is_the_head():
    """A reader still sees what was asked."""
    assert csv_of([], ("day", "model")) == "day,model\r\n"


def test_a_cell_never_becomes_a_formula():
    """A tag comes from a caller, and finance opens the file."""
    for text in ("=1+1", "+1+cmd", "-2+3", "@sum(a1)", "\tx", "\r=1"):
        (cell,) = list(csv.reader(io.StringIO(csv_of([{"a": text}]), newline="")))[1]
        assert cell == f"'{text}"


def test_numbers_stay_numbers():
    """A negative difference is no formula."""
    assert csv_of([{"a": "-0.5"}]) == "a\r\n-0.5\r\n"


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), min_size=1))
def test_every_text_comes_back(texts):
    """Quotes, commas and line breaks included."""
    told = csv.reader(io.StringIO(csv_of([{"a": text} for text in texts]), newline=""))
    assert [row[0].removeprefix("'") if row else "" for row in list(told)[1:]] == [
        text.removeprefix("'") for text in texts
    ]

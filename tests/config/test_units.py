"""Durations and sizes: what is taken, what is refused, and that nothing is lost on the way."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.units import parse_duration, parse_size, render_duration, render_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("24h", 86_400),
        ("10m", 600),
        ("2s", 2),
        ("500ms", 0.5),
        ("7d", 604_800),
        ("1.5h", 5400),
        ("0", 0),
        (0, 0),
        ("0s", 0),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text: object, seconds: float) -> None:
    """Each unit means what it says; only zero needs none."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("128MiB", 2**27), ("1GiB", 2**30), ("1GB", 10**9), ("1.5KiB", 1536), ("7B", 7), ("0", 0)],
)
def test_a_size_is_a_number_with_its_unit(text: str, count: int) -> None:
    """Binary and decimal units are told apart."""
    assert parse_size(text) == count


@pytest.mark.parametrize(
    "value",
    [
        "5",
        5,
        5.0,
        True,
        False,
        None,
        "",
        "5 parsecs",
        "-1s",
        "1h30m",
        "1e3s",
        "٣s",
        "h",
        "1.s",
        "1H",
    ],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    """A bare number above all: nobody can tell whether it means seconds or milliseconds."""
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["5", 1024, True, "5 mib", "1Mi", "-1B", "0.5B", []])
def test_what_is_no_size_is_refused(value: object) -> None:
    """A bare number, an unknown unit, half a byte."""
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(value)


def test_a_duration_finer_than_a_millisecond_is_refused() -> None:
    """It could not be written back as it was."""
    with pytest.raises(ValueError, match="without a fraction"):
        parse_duration("0.5ms")


@given(st.integers(0, 10**13))
def test_every_duration_survives_being_written(ms: int) -> None:
    """What `check` prints is what was configured."""
    assert parse_duration(render_duration(ms / 1000)) == ms / 1000


@given(st.integers(0, 2**56))
def test_every_size_survives_being_written(count: int) -> None:
    """What `check` prints is what was configured."""
    assert parse_size(render_size(count)) == count


@given(st.text(max_size=12) | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
def test_nothing_but_a_value_error_comes_out(value: object) -> None:
    """Whatever a file holds there, it is parsed or refused in words."""
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert parse(value) >= 0

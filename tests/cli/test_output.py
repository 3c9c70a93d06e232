"""What commands print for people."""

from __future__ import annotations

import pytest

from sidecar.cli.output import print_figures, usd


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0"),
        ("12.5", "$12.5"),
        ("0.0123", "$0.0123"),
        ("0.123456789", "$0.123457"),
        ("1234567.1", "$1,234,567.1"),
        ("-0.25", "-$0.25"),
        ("0.000000001", "<$0.000001"),
        ("100", "$100"),
    ],
)
def test_dollars_are_told_to_the_millionth(amount: str, shown: str) -> None:
    """Something is never shown as nothing."""
    assert usd(amount) == shown


def test_figures_stand_right_and_words_left(capsys: pytest.CaptureFixture[str]) -> None:
    """So that they can be compared at a glance."""
    print_figures([
        {"who": "ann", "calls": 5, "cost": "$0.5", "mean_ms": 1.25},
        {"who": "robert", "calls": 12_345, "cost": "$10", "mean_ms": 20.0},
    ])  # fmt: skip
    assert capsys.readouterr().out == (
        "who      calls  cost  mean ms\n"
        "ann          5  $0.5      1.2\n"
        "robert  12,345   $10     20.0\n"
    )


def test_a_column_that_tells_nothing_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Unless it must stay."""
    print_figures([{"a": "", "b": 0, "c": "$0", "d": "x", "e": 0}], keep=("e",))
    assert capsys.readouterr().out == "d  e\nx  0\n"

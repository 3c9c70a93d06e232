"""The documented words."""

import re

import pytest

from sidecar.reasons import HELP, Reason


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason):
    """No word reaches a client that the table doesn't explain."""
    assert HELP[reason].strip()


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_one_word(reason):
    """It stands unquoted in `Cache-Status`."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.value)


def test_every_explanation_is_told_apart():
    """Two words with one meaning would be one word too many."""
    assert len(set(HELP.values())) == len(HELP) == len(Reason)

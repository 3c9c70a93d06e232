"""The `Cache-Status` header, row by row of the contract's table."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Outcome
from sidecar.wire.report import cache_status

WORD = r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*"
STRING = r'"([ !#-\[\]-~]|\\["\\])*"'
VALID = re.compile(rf"sidecar(; [a-z]+(=({WORD}|-?[0-9]{{1,15}}|{STRING}))?)*")


def status(outcome, *, reason="not_found", stored=False, ttl_s=None, no_cache=False):
    """The header's value, with usual facts."""
    return cache_status(outcome, reason=reason, stored=stored, ttl_s=ttl_s, no_cache=no_cache)


@pytest.mark.parametrize(
    ("outcome", "facts", "expected"),
    [
        (Outcome.EXACT, {"ttl_s": 3540.9}, "sidecar; hit; detail=exact; ttl=3540"),
        (Outcome.SEMANTIC, {"ttl_s": 3540.0}, "sidecar; hit; detail=semantic; ttl=3540"),
        (Outcome.EXACT, {}, "sidecar; hit; detail=exact"),
        (Outcome.COALESCED, {}, "sidecar; fwd=miss; collapsed"),
        (Outcome.COALESCED, {"stored": True}, "sidecar; fwd=miss; collapsed; stored"),
        (Outcome.MISS, {}, "sidecar; fwd=miss"),
        (Outcome.MISS, {"stored": True}, "sidecar; fwd=miss; stored"),
        (Outcome.MISS, {"no_cache": True}, "sidecar; fwd=request"),
        (Outcome.MISS, {"no_cache": True, "stored": True}, "sidecar; fwd=request; stored"),
        (Outcome.BYPASS, {"reason": "temperature"}, "sidecar; fwd=bypass; detail=temperature"),
        (Outcome.SHADOW, {"stored": True}, "sidecar; fwd=bypass; detail=shadow; stored"),
        (Outcome.STALE, {"ttl_s": -12.5}, "sidecar; hit; ttl=-13; detail=stale"),
    ],
)
def test_each_row(outcome, facts, expected):
    """Every outcome has the value that the contract gives it."""
    assert status(outcome, **facts) == expected


@pytest.mark.parametrize(
    ("reason", "detail"),
    [("", ""), ("é", ""), ("two words", '; detail="two words"'), ('"\\"', r'; detail="\"\\\""')],
)
def test_what_is_no_token_is_quoted(reason, detail):
    """A reason of any signs is quoted, and left out where nothing of it can be."""
    assert status(Outcome.BYPASS, reason=reason) == f"sidecar; fwd=bypass{detail}"


@pytest.mark.parametrize("ttl_s", [float("inf"), float("-inf"), float("nan")])
def test_no_number_no_ttl(ttl_s):
    """A time to live that is no number is left out."""
    assert status(Outcome.EXACT, ttl_s=ttl_s) == "sidecar; hit; detail=exact"


@given(
    st.sampled_from(Outcome),
    st.text(max_size=30),
    st.booleans(),
    st.none() | st.floats(),
    st.booleans(),
)
def test_always_a_valid_structured_field(outcome, reason, stored, ttl_s, no_cache):
    """Whatever the reason is made of, the header is valid and in one line."""
    line = status(outcome, reason=reason, stored=stored, ttl_s=ttl_s, no_cache=no_cache)
    assert VALID.fullmatch(line), line

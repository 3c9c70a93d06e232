"""Usage: told as OpenAI does, and never believed against reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Usage
from sidecar.wire.openai_usage import BESIDE, MAX_TOKENS, read_usage, with_beside, write_usage

SPENT = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2, "rejected_prediction_tokens": 1},
    "cost": 0.01,
}
"""With what only some servers tell."""


def told(spent=10, made=5, **details):
    """What these counts say."""
    return read_usage({"prompt_tokens": spent, "completion_tokens": made, **details})


def test_all_counts():
    """Input includes the cached tokens, output the reasoning."""
    usage = told(
        prompt_tokens_details={"cached_tokens": 4},
        completion_tokens_details={"reasoning_tokens": 3},
    )
    assert usage == Usage(10, 5, 4, 3)


@pytest.mark.parametrize("lie", [-1, 1.0, True, "5", None, MAX_TOKENS + 1, 10**12, [], {}])
@pytest.mark.parametrize("name", ["spent", "made"])
def test_what_cannot_be_true_is_unknown(name, lie):
    """A count that can't be true makes the usage unknown."""
    assert told(**{name: lie}) is None


@pytest.mark.parametrize("value", [None, {}, [], "usage", 5, {"prompt_tokens": 5}])
def test_missing_is_unknown(value):
    """What is missing is unknown, not nothing."""
    assert read_usage(value) is None


@pytest.mark.parametrize("details", [None, [], 5, {}, {"cached_tokens": None}])
def test_missing_details_are_zero(details):
    """Details may be missing in any way."""
    assert told(prompt_tokens_details=details) == Usage(10, 5)


@pytest.mark.parametrize("lie", [11, -1, True, 2.0])
def test_a_part_is_not_more_than_the_whole(lie):
    """A discount that can't be true is not given."""
    assert told(prompt_tokens_details={"cached_tokens": lie}) == Usage(10, 5)


@given(st.integers(0, MAX_TOKENS), st.integers(0, MAX_TOKENS), st.data())
def test_what_is_written_reads_back(spent, made, data):
    """Usage survives being written and read."""
    cached, reasoning = data.draw(st.integers(0, spent)), data.draw(st.integers(0, made))
    usage = Usage(spent, made, cached, reasoning)
    assert read_usage(write_usage(usage)) == usage
    assert write_usage(usage)["total_tokens"] == spent + made


@pytest.mark.parametrize(("total", "made"), [(18, 8), (15, 5), (3, 5), (10**12, 5), (True, 5)])
def test_thinking_that_only_the_total_tells_is_output(total, made):
    """Some servers leave it out of what was made, and bill it all the same."""
    details = {"reasoning_tokens": 3}
    usage = told(total_tokens=total, completion_tokens_details=details)
    assert usage == Usage(10, made, 0, 3)


@pytest.mark.parametrize("name", ["cache_write_tokens", "cache_creation_tokens"])
def test_what_a_cache_took_in_is_told_apart(name):
    """It is dearer than other input; what can't be a part of that is not."""
    assert told(prompt_tokens_details={"cached_tokens": 4, name: 6}) == Usage(10, 5, 4, 0, 6)
    assert told(prompt_tokens_details={"cached_tokens": 4, name: 7}) == Usage(10, 5, 4)


def test_what_is_told_beside_the_counts_is_told_again():
    """Every field, and each in its place."""
    beside = with_beside({"a": 1}, SPENT)
    assert beside["a"] == 1
    assert write_usage(read_usage(SPENT), beside[BESIDE]) == SPENT


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"total_tokens": 15, "prompt_tokens_details": None},
        {"prompt_tokens_details": {"audio_tokens": 0}, "completion_tokens_details": []},
        {"completion_tokens_details": {"reasoning_tokens": 3}, "cost": 0},
    ],
)
def test_what_says_nothing_costs_nothing(value):
    """Zeros, which OpenAI sends with every answer, are not kept with each."""
    extra = {"a": 1}
    assert with_beside(extra, value) is extra


@pytest.mark.parametrize(
    "beside",
    [
        None,
        5,
        {"prompt_tokens": 99, "total_tokens": 1},
        {"prompt_tokens_details": 7, "completion_tokens_details": {"reasoning_tokens": 9}},
    ],
)
def test_counts_are_never_displaced(beside):
    """Whatever stands beside them: what is billed is what is told."""
    assert write_usage(Usage(10, 5, 4, 2), beside) == write_usage(Usage(10, 5, 4, 2))

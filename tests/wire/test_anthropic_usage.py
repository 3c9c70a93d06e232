"""Tokens as Anthropic counts them: what its cache took part in is counted apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Usage
from sidecar.wire.anthropic_usage import beside_usage, read_usage, write_usage

TOLD = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 3000,
    "output_tokens": 7,
}
counts = st.integers(0, 10**8)


def test_what_the_cache_took_part_in_is_input_too():
    """The domain's input is all of it, of which the cached is a part."""
    assert read_usage(TOLD) == Usage(3210, 7, 3000, 0, 200)


@given(counts, counts, counts, counts)
def test_no_token_is_lost_or_counted_twice(fresh, created, cached, made):
    """What was read is written again in the same four numbers."""
    told = dict(zip(TOLD, (fresh, created, cached, made), strict=True))
    assert write_usage(read_usage(told), beside_usage(told)) == told


def test_another_providers_usage_leaves_its_cached_tokens_out():
    """OpenAI's input includes them, and Anthropic's clients add them on."""
    told = write_usage(Usage(100, 5, 60))
    assert (told["input_tokens"], told["cache_read_input_tokens"]) == (40, 60)
    assert told["cache_creation_input_tokens"] == 0


@pytest.mark.parametrize("name", sorted(TOLD))
@pytest.mark.parametrize("lie", [-1, 1.5, float("nan"), True, "7", 10**9 + 1, [1]])
def test_what_can_not_be_true_is_unknown(name, lie):
    """A lie in one number makes all of them worthless."""
    assert read_usage({**TOLD, name: lie}) is None


def test_the_sum_is_bounded_too():
    """Each part may be believable and the whole not."""
    assert read_usage({**TOLD, "input_tokens": 10**9}) is None


@pytest.mark.parametrize("value", [None, [], "x", {}, {"input_tokens": 1}, {"output_tokens": 1}])
def test_missing_is_unknown(value):
    """Unknown is not zero."""
    assert read_usage(value) is None


def test_the_cache_need_not_be_told_of():
    """Compatible servers have none; null is absence."""
    told = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": None}
    assert read_usage(told) == Usage(1, 2)


@pytest.mark.parametrize("created", [-5, 10**8, "many", None])
def test_a_count_beside_that_is_no_part_of_the_whole_is_not_told(created):
    """Whatever a server wrote there, no client reads a negative number."""
    told = write_usage(Usage(100, 5, 60), {"cache_creation_input_tokens": created})
    assert (told["input_tokens"], told["cache_creation_input_tokens"]) == (40, 0)


def test_what_is_told_beside_is_told_again():
    """An Anthropic client of an Anthropic provider reads what its own tools cost."""
    beside = beside_usage({**TOLD, "server_tool_use": {"web_search_requests": 2}, "x": None})
    assert beside["server_tool_use"] == {"web_search_requests": 2}
    assert "x" not in beside
    assert write_usage(Usage(1, 1), beside)["server_tool_use"] == {"web_search_requests": 2}


@pytest.mark.parametrize(("thought", "reasoning"), [(3, 3), (8, 0), (-1, 0), ("3", 0), (None, 0)])
def test_tokens_of_thought_are_part_of_those_made(thought, reasoning):
    """What can't be a part of them is not told apart."""
    told = {**TOLD, "output_tokens_details": {"thinking_tokens": thought}}
    assert read_usage(told) == Usage(3210, 7, 3000, reasoning, 200)


def test_another_providers_reasoning_is_thought():
    """A client of Anthropic's reads it where Anthropic tells it."""
    told = write_usage(Usage(10, 5, 0, 4))
    assert told["output_tokens_details"] == {"thinking_tokens": 4}
    assert "output_tokens_details" not in write_usage(Usage(10, 5))

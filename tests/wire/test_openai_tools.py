"""Tool calls: every kind survives, and careless servers are understood."""

import pytest

from sidecar.domain import ToolCall, ToolCallDelta
from sidecar.wire.body import MalformedError
from sidecar.wire.openai_tools import (
    read_tool_calls,
    read_tool_deltas,
    with_delta_ids,
    with_ids,
    write_tool_call,
    write_tool_delta,
)

FUNCTION = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
CUSTOM = {"id": "c2", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}


@pytest.mark.parametrize(
    "raw",
    [
        FUNCTION,
        CUSTOM,
        {"id": "c3", "type": "web_search", "web_search": {"query": "x"}, "status": "done"},
        {**FUNCTION, "index": 0, "extra_content": {"google": {"thought_signature": "abc"}}},
        {**FUNCTION, "function": {**FUNCTION["function"], "parsed": {"a": 1}}},
    ],
)
def test_calls_are_kept_whole(raw):
    """What is read is written again with every field."""
    (call,) = read_tool_calls([raw])
    assert write_tool_call(call) == raw


def test_kinds():
    """A function's arguments and a custom tool's input are the text of the call."""
    assert read_tool_calls([FUNCTION, CUSTOM]) == (
        ToolCall("c1", "f", '{"a":1}'),
        ToolCall("c2", "sql", "SELECT 1", "custom"),
    )


@pytest.mark.parametrize("value", [None, []])
def test_none(value):
    """Null and an empty list are no calls."""
    assert read_tool_calls(value) == () == read_tool_deltas(value)


@pytest.mark.parametrize(
    ("raw", "call"),
    [
        ({"function": {"name": "f"}}, ToolCall("", "f", "")),
        ({"function": {"name": "f", "arguments": None}}, ToolCall("", "f", "")),
        ({"function": {"name": "f", "arguments": {"a": 1}}}, ToolCall("", "f", '{"a":1}')),
        ({"id": None, "type": None, "function": None}, ToolCall("", "", "")),
    ],
)
def test_careless_servers(raw, call):
    """Missing ids and types, null and object arguments are understood."""
    assert read_tool_calls([raw]) == (call,)


@pytest.mark.parametrize(
    "raw",
    [
        {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "function": {"arguments": '{"a'}},
        {"index": 2, "id": "c", "type": "custom", "custom": {"name": "f", "input": ""}},
        {"index": 0, "type": "web_search", "web_search": {"query": "x"}},
        {"index": 0, "function": {"arguments": ""}, "extra_content": {"x": 1}},
    ],
)
def test_pieces_are_kept_whole(raw):
    """A piece of a call is written again with every field."""
    (piece,) = read_tool_deltas([raw])
    assert write_tool_delta(piece) == raw


def test_later_piece_of_a_custom_call():
    """A piece without a type is known by the field that it continues."""
    (piece,) = read_tool_deltas([{"index": 0, "custom": {"input": "x"}}])
    assert piece == ToolCallDelta(0, arguments="x", kind="custom")


def test_piece_without_index():
    """A piece without an index has its place in the list."""
    assert [piece.index for piece in read_tool_deltas([{}, {}])] == [0, 1]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({}, "tool_calls"),
        ("", "tool_calls"),
        ([FUNCTION, 5], "tool_calls[1]"),
        ([{"id": 5}], "tool_calls[0].id"),
        ([{"type": 5}], "tool_calls[0].type"),
        ([{"function": 5}], "tool_calls[0].function"),
        ([{"function": {"name": 5}}], "tool_calls[0].function.name"),
        ([{"function": {"arguments": 5}}], "tool_calls[0].function.arguments"),
    ],
)
@pytest.mark.parametrize("read", [read_tool_calls, read_tool_deltas])
def test_malformed(read, value, path):
    """What is no tool call is refused with its place."""
    with pytest.raises(MalformedError) as caught:
        read(value)
    assert caught.value.path == path


@pytest.mark.parametrize("index", [-1, "0", 1.0, True])
def test_malformed_index(index):
    """An index that is none is refused."""
    with pytest.raises(MalformedError, match=r"tool_calls\[0\].index"):
        read_tool_deltas([{"index": index}])


def test_id_may_be_required():
    """A request's calls must have ids, for later turns answer by them."""
    with pytest.raises(MalformedError, match=r"tool_calls\[0\].id"):
        read_tool_calls([{**FUNCTION, "id": ""}], require_id=True)


def test_a_call_without_an_id_is_given_one():
    """A client answers by it: the same in a whole answer and in a stream, for each call."""
    calls = read_tool_calls([{"function": {"name": "f"}}, {"function": {"name": "g"}, "id": "a"}])
    assert [call.id for call in with_ids(calls, "gen-1/x:y")] == ["call_gen-1xy_0", "a"]
    pieces = read_tool_deltas(
        [
            {"index": 1, "function": {"name": "f"}},
            {"index": 2, "id": "a", "function": {"name": "g"}},
            {"index": 1, "function": {"arguments": "{"}},
        ]
    )
    ids = [piece.id for piece in with_delta_ids(pieces, "gen-1")]
    assert ids == ["call_gen-1_1", "a", None]


def test_calls_that_have_ids_are_left_alone():
    """Nothing is made up where nothing is missing, or where no call is."""
    calls = read_tool_calls([{"id": "a", "function": {"name": "f"}}])
    assert with_ids(calls, "x") is calls
    nameless = read_tool_calls([{"id": ""}])
    assert with_ids(nameless, "x") == nameless

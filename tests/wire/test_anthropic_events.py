"""An Anthropic provider's stream as chunks."""

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Usage
from sidecar.errors import UpstreamError, UpstreamInvalidError
from sidecar.wire.anthropic_events import MessageReader
from sidecar.wire.anthropic_reply import parse_message
from sidecar.wire.assemble import assemble

from .answers import (
    CITED,
    HIDDEN,
    SEARCH,
    TEXT,
    THOUGHT,
    USE,
    answers,
    events,
    message,
    read,
    whole,
)
from .test_openai_arbitrary import json

START = next(events(message()))
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}
STOP = {"type": "content_block_stop", "index": 0}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
OVER = {"type": "message_stop"}


def failure(*told: dict) -> UpstreamError:
    """What is raised for these events."""
    with pytest.raises(UpstreamError) as raised:
        read(told)
    return raised.value


@given(answers, st.integers(1, 5))
def test_a_stream_tells_what_the_whole_answer_tells(raw, cut):
    """To a client of Anthropic's block by block, however it was cut."""
    told = whole(assemble(read(events(raw, cut))))
    expected = whole(parse_message(orjson.dumps(raw)))
    assert _plain(told) == _plain(expected)


@given(answers)
def test_a_stream_tells_other_clients_the_same_too(raw):
    """Text, calls, end and usage; nothing beside them."""
    streamed = assemble(read(events(raw), keep=False))
    answer = parse_message(orjson.dumps(raw), created=9, keep=False)
    assert streamed == answer


def _plain(told: dict) -> dict:
    """Empty citations and none are the same."""
    blocks = [
        {k: v for k, v in block.items() if (k, v) != ("citations", [])} for block in told["content"]
    ]
    return {**told, "content": blocks}


def test_text_comes_as_it_is_told():
    """One chunk a piece, the first of which says who speaks; pings are none."""
    chunks = read(events(message(TEXT), 4))
    assert [chunk.deltas[0].text for chunk in chunks] == [None, "Let ", "me s", "ee.", None]
    assert chunks[0].deltas[0].role == "assistant"
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {
        ("msg_1", 9, "claude-x")
    }
    assert chunks[-1].deltas[0].finish == "stop"


def test_that_it_has_begun_is_no_content():
    """Else a stream could not fall back any more before it said a word."""
    chunks = read(events(message(THOUGHT)))
    assert [chunk.deltas[0].has_content for chunk in chunks[:2]] == [False, True]


def test_usage_is_told_at_once_and_at_the_end():
    """What was read is known from the start; the end repeats what it changes alone."""
    chunks = read(events(message(TEXT)))
    assert chunks[0].usage == Usage(35, 1, 20, 0, 5)
    assert chunks[-1].usage == Usage(35, 7, 20, 0, 5)


def test_a_lie_at_the_end_is_unknown():
    """The count from the start is not taken for the whole."""
    reader = MessageReader()
    reader.read(orjson.dumps(START))
    chunk = reader.read(orjson.dumps({**END, "usage": {"output_tokens": -1}}))
    assert chunk is not None
    assert chunk.usage is None


@pytest.mark.parametrize("partial", [[], [""]])
@pytest.mark.parametrize("value", [{}, {"city": "Bonn"}])
def test_a_call_without_pieces_is_whole_at_its_start(partial, value):
    """No arguments at all come so, and compatible servers send all of them so."""
    start = {"type": "content_block_start", "index": 0, "content_block": {**USE, "input": value}}
    pieces = [
        {**DELTA, "delta": {"type": "input_json_delta", "partial_json": text}} for text in partial
    ]
    chunks = read([START, start, *pieces, STOP, END, OVER])
    (call,) = assemble(chunks).choices[0].tool_calls
    assert orjson.loads(call.arguments) == value


@pytest.mark.parametrize(
    "told",
    [
        (DELTA,),
        (BLOCK,),
        (END,),
        (OVER,),
        (START, START),
        (START, DELTA),
        (START, STOP),
        (START, BLOCK, BLOCK),
        (START, BLOCK, {**DELTA, "index": 1}),
        (START, BLOCK, {**STOP, "index": 1}),
        (START, BLOCK, END),
        (START, BLOCK, OVER),
        (START, BLOCK, {**DELTA, "delta": None}),
        (START, BLOCK, {**DELTA, "delta": {"type": "text_delta", "text": 5}}),
        (START, {**BLOCK, "index": "0"}),
        (START, {**BLOCK, "content_block": {}}),
        (START, {**BLOCK, "content_block": {"type": "tool_use"}}),
        (START, {**END, "delta": []}),
        ({"type": "message_start", "message": 5},),
    ],
)
def test_disorder_is_refused(told):
    """What stands in the wrong place would become part of another block."""
    error = failure(*told)
    assert isinstance(error, UpstreamInvalidError)
    assert error.reason == "invalid_body"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("overloaded_error", "overloaded"),
        ("rate_limit_error", "rate_limited"),
        ("api_error", "error_in_stream"),
        ("s3cret of the prompt", "error_in_stream"),
        (5, "error_in_stream"),
    ],
)
def test_an_error_after_the_head_is_an_error(kind, reason):
    """By its word, and nothing of its text is quoted."""
    error = failure(START, {"type": "error", "error": {"type": kind, "message": "s3cret"}})
    assert error.reason == reason
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("event", [{"type": "error"}, {"error": {"message": "no"}}])
def test_an_error_is_known_by_either_sign(event):
    """A compatible server may tell it in OpenAI's shape, or without a word."""
    assert failure(START, event).reason == "error_in_stream"


@pytest.mark.parametrize(
    "event", [{"type": "ping"}, {"type": "new_event", "x": 1}, {}, {"type": 5}]
)
def test_what_is_unknown_says_nothing(event):
    """At any time."""
    reader = MessageReader()
    assert reader.read(orjson.dumps(event)) is None
    told = [START, event, BLOCK, event, DELTA, event, STOP, END, event, OVER]
    assert assemble(read(told)).choices[0].text == "x"


def test_only_its_last_event_ends_it():
    """The reason of the end is not yet the end."""
    reader = MessageReader()
    for event in (START, BLOCK, DELTA, STOP, END):
        reader.read(orjson.dumps(event))
        assert not reader.ended
    reader.read(orjson.dumps(OVER))
    assert reader.ended


def test_what_comes_behind_the_end_says_nothing():
    """The answer is complete."""
    reader = MessageReader()
    for event in (START, END, OVER):
        reader.read(orjson.dumps(event))
    assert reader.read(orjson.dumps(BLOCK)) is None


@pytest.mark.parametrize("block", [THOUGHT, HIDDEN, CITED, SEARCH])
def test_other_clients_hear_nothing_of_it(block):
    """What they have no word for makes no chunk that says something else."""
    for chunk in read(events(message(block)), keep=False):
        assert not chunk.deltas[0].extra
        assert not chunk.extra


_kinds = ["message_start", "content_block_start", "content_block_delta", "content_block_stop"]
_events = st.sampled_from([START, BLOCK, DELTA, STOP, END, OVER]) | st.dictionaries(
    st.sampled_from(["type", "index", "delta", "content_block", "message", "usage", "error"]),
    st.sampled_from([*_kinds, "message_delta", "text", "tool_use", "text_delta", 0]) | json,
)


@given(st.lists(_events, max_size=6))
def test_whatever_comes_is_read_or_the_providers_fault(told):
    """No other error, in any order."""
    reader = MessageReader()
    with suppress(UpstreamError):
        for event in told:
            reader.read(orjson.dumps(event))

"""Chunks as the events that Anthropic's clients read."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import (
    Choice,
    Chunk,
    Completion,
    Delta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from sidecar.errors import OverloadedError, UpstreamError, UpstreamInvalidError
from sidecar.wire.anthropic_content import PIECES
from sidecar.wire.anthropic_reply import parse_message
from sidecar.wire.anthropic_writer import MessagesWriter
from sidecar.wire.assemble import assemble, replay
from sidecar.wire.sse import SseDecoder

from .answers import (
    CITED,
    FOUND,
    HIDDEN,
    SEARCH,
    TEXT,
    THOUGHT,
    USE,
    answers,
    events,
    folded,
    message,
    read,
    whole,
    written,
)
from .test_openai_arbitrary import json

EVERYTHING = message(THOUGHT, CITED, TEXT, SEARCH, FOUND, TEXT, HIDDEN, TEXT, USE)


def chunk(**delta: object) -> Chunk:
    """A chunk of another provider's."""
    return Chunk("c1", 9, "gpt", (Delta(**delta),))


def call(index: int, arguments: str = "", **head: object) -> Chunk:
    """A piece of a call."""
    return chunk(tool_calls=(ToolCallDelta(index, arguments=arguments, **head),))


def kinds(told: list[dict]) -> list[str]:
    """Types of these events, those of blocks in short."""
    return [event["type"].removeprefix("content_block_") for event in told]


@given(answers, st.integers(1, 5))
def test_a_live_stream_is_told_as_it_came(raw, cut):
    """A client of Anthropic's gets the same answer as without us in between."""
    told = folded(written(read(events(raw, cut))))
    assert _plain(told) == _plain(folded(events(raw, cut)))


@given(answers)
def test_a_stored_answer_is_told_again(raw):
    """As a stream it is the answer that it is as a whole."""
    answer = parse_message(orjson.dumps(raw))
    assert _plain(folded(written(replay(answer)))) == _plain(whole(answer))


@given(answers)
def test_a_stored_stream_is_told_again(raw):
    """The same, where it was put together from a stream."""
    answer = assemble(read(events(raw)))
    assert _plain(folded(written(replay(answer)))) == _plain(folded(events(raw)))


def _plain(told: dict) -> dict:
    """Empty citations and none are the same."""
    blocks = [
        {k: v for k, v in block.items() if (k, v) != ("citations", [])} for block in told["content"]
    ]
    return {**told, "content": blocks}


_words = st.text(min_size=1, max_size=80)
_calls = st.builds(
    ToolCall,
    _words,
    _words,
    st.dictionaries(_words, _words).map(lambda v: orjson.dumps(v).decode()),
)
_choices = st.builds(
    Choice,
    text=st.none() | _words,
    refusal=st.none() | _words,
    tool_calls=st.lists(_calls, max_size=3).map(tuple),
    finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter", "odd"]),
    extra=st.just({}) | st.just({"reasoning_content": "Hm", "choice.x": 1}),
)


@given(_choices, st.none() | st.just(Usage(100, 5, 60)))
def test_any_other_providers_answer_is_told_the_same_both_ways(choice, usage):
    """As a stream and as a whole."""
    answer = Completion("c1", 9, "gpt", (choice,), usage)
    told, expected = folded(written(replay(answer))), whole(answer)
    assert _joined(told) == _joined(expected)


def _joined(told: dict) -> dict:
    """A refusal has a block of its own as a stream, for it may begin before the text ends."""
    texts = "".join(b["text"] for b in told["content"] if b["type"] == "text")
    calls = [b for b in told["content"] if b["type"] == "tool_use"]
    return {**told, "content": (texts, calls)}


def test_another_providers_stream():
    """Each block is opened, told and closed before the next; usage comes at the end."""
    chunks = [
        Chunk("", 0, ""),
        chunk(role="assistant", text=""),
        chunk(text="Hel"),
        chunk(text="lo"),
        call(0, id="call_1", name="f", kind="function"),
        call(0, '{"a"'),
        call(0, ":1}"),
        call(1, "{}", id="call_2", name="g"),
        chunk(finish="tool_calls"),
        Chunk("c1", 9, "gpt", (), Usage(100, 5, 60)),
    ]
    told = written(chunks)
    assert kinds(told) == [
        *("message_start", "start", "delta", "delta", "stop"),
        *("start", "delta", "delta", "stop", "start", "delta", "stop"),
        *("message_delta", "message_stop"),
    ]
    answer = folded(told)
    assert answer["content"] == [
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
    ]
    assert (answer["id"], answer["model"], answer["stop_reason"]) == ("c1", "gpt", "tool_use")
    assert answer["usage"] == {
        "input_tokens": 40,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 60,
        "output_tokens": 5,
    }


def test_each_piece_goes_out_when_it_comes():
    """Nothing of a live stream is held back, not even of the strangest."""
    writer = MessagesWriter()
    silent = [c for c in read(events(EVERYTHING)) if not writer.chunk(c)]
    # The reason of the end, which is told with the usage.
    assert len(silent) == 1


def test_a_stream_that_began_with_nothing_has_nothing_to_end():
    """Azure's first chunk holds no choice, no id and no model."""
    writer = MessagesWriter()
    assert writer.chunk(Chunk("", 0, "")) == b""
    assert writer.end(None, {}) == b""


def test_other_choices_are_not_told():
    """Anthropic has one answer; the request for more was refused."""
    chunks = [chunk(text="a"), chunk(index=1, text="b"), chunk(finish="stop")]
    assert folded(written(chunks))["content"] == [{"type": "text", "text": "a"}]


def test_calls_that_are_mixed_can_not_be_told():
    """A block that was closed can't be opened again; nothing is put in the wrong one."""
    writer = MessagesWriter()
    writer.chunk(call(0, "{", id="a", name="f"))
    writer.chunk(call(1, "{", id="b", name="g"))
    with pytest.raises(UpstreamInvalidError) as raised:
        writer.chunk(call(0, "}"))
    assert raised.value.reason == "calls_mixed"


def test_an_end_that_never_came_is_not_made_up():
    """No reason of the end is no reason."""
    told = written([chunk(text="a")])
    assert told[-2]["delta"]["stop_reason"] is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UpstreamError("no", reason="cut"), "api_error"),
        (OverloadedError("no"), "overloaded_error"),
    ],
)
def test_an_error_ends_the_stream(error, kind):
    """With the event that SDKs raise, and no regular end."""
    (event,) = SseDecoder().feed(MessagesWriter().error(error))
    told = orjson.loads(event.data)
    assert (event.event, told["type"], told["error"]["type"]) == ("error", "error", kind)
    assert (told["error"]["message"], told["error"]["code"]) == ("no", error.code)


_pieces = st.lists(
    st.fixed_dictionaries(
        {}, optional={"at": st.lists(st.integers(0, 5), max_size=2), "open": json, "add": json}
    )
    | st.sampled_from(
        [{"at": [0, 0], "open": {"type": "text"}}, {"at": [3, 1], "open": {"type": "a"}},
         {"add": {"type": "text_delta"}}]
    ),
    max_size=4,
)  # fmt: skip


@given(_pieces, st.text(max_size=9))
def test_any_pieces_can_be_told(pieces, text):
    """Whatever a server sent under that name, the blocks are in order and the text is there."""
    chunks = [chunk(extra={PIECES: pieces}), chunk(text=text), chunk(finish="stop")]
    told = written(chunks)
    said = [event["delta"].get("text") for event in told if event["type"].endswith("block_delta")]
    assert "".join(part for part in said if part) == text
    assert told[-1] == {"type": "message_stop"}

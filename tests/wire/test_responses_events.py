"""Chunks as Responses events: their bytes, their order, and their end."""

import orjson
import pytest

from sidecar.domain import Choice, Chunk, Completion, Delta, ToolCallDelta, Usage
from sidecar.errors import SidecarError, UpstreamError
from sidecar.wire.replay import replay
from sidecar.wire.responses_events import ResponsesWriter
from sidecar.wire.responses_request import parse_responses_request
from sidecar.wire.sse import SseDecoder

ASKED = parse_responses_request(b'{"model": "asked", "input": "Hello"}')
HI = Completion("chatcmpl-1", 5, "m", (Choice(0, "Hi", "stop"),), Usage(1, 2))
TOLD = {"cache": "miss"}


def read(data: bytes) -> list[dict]:
    """The events in these bytes."""
    return [orjson.loads(event.data) for event in SseDecoder().feed(data)]


def chunk(*deltas: Delta, **fields) -> Chunk:
    """A chunk of these deltas."""
    return Chunk("chatcmpl-1", 5, "m", deltas, **fields)


def call(index: int = 0, **fields) -> Chunk:
    """A chunk that holds a piece of a call."""
    return chunk(Delta(tool_calls=(ToolCallDelta(index, **fields),)))


def stream(*chunks: Chunk, usage: Usage | None = None) -> list[dict]:
    """The events of a whole stream."""
    writer = ResponsesWriter(ASKED)
    return read(b"".join(map(writer.chunk, chunks)) + writer.end(usage, TOLD))


def names(events: list[dict]) -> list[str]:
    """Their types, without what they have in common."""
    return [event["type"].removeprefix("response.") for event in events]


def test_one_answer():
    """The events of a text stand in OpenAI's order."""
    assert names(stream(*replay(HI))) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_a_call():
    """The events of a call stand in OpenAI's order."""
    events = stream(
        call(id="c", name="f", kind="function"),
        call(arguments='{"a"'),
        call(arguments=": 1}"),
        chunk(Delta(finish="tool_calls")),
    )
    assert names(events)[2:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    done = events[5]
    assert (done["name"], done["arguments"], done["item_id"]) == ("f", '{"a": 1}', "fc_1_0")
    assert [event["item"]["status"] for event in events if "item" in event] == [
        "in_progress",
        "completed",
    ]


def test_event_lines():
    """Each event's line names the type that its data names, and no `[DONE]` follows."""
    writer = ResponsesWriter(ASKED)
    data = b"".join(map(writer.chunk, replay(HI))) + writer.end(None, TOLD)
    events = SseDecoder().feed(data)
    assert [event.event for event in events] == [e["type"] for e in read(data)]
    assert b"[DONE]" not in data


def test_text_goes_out_at_once():
    """A piece of text is not held back for the next."""
    writer = ResponsesWriter(ASKED)
    writer.chunk(chunk(Delta(role="assistant")))
    assert [event["delta"] for event in read(writer.chunk(chunk(Delta(text="Hi"))))[2:]] == ["Hi"]
    assert [event["delta"] for event in read(writer.chunk(chunk(Delta(text=" you"))))] == [" you"]


def test_usage_and_what_is_told_at_the_end():
    """Usage stands in the last event's reply, and what the head could not tell beside it."""
    events = stream(*replay(HI), usage=Usage(1, 2))
    assert [event["response"]["usage"] for event in events[:2]] == [None, None]
    assert events[-1]["response"]["usage"]["total_tokens"] == 3
    assert events[-1]["sidecar"] == TOLD


def test_a_chunk_that_says_nothing():
    """A chunk with nothing to see is no event."""
    writer = ResponsesWriter(ASKED)
    writer.chunk(chunk(Delta(text="Hi")))
    assert writer.chunk(chunk(Delta(text=""), Delta(extra={"x": 1}))) == b""
    assert writer.chunk(chunk(usage=Usage(1, 2))) == b""


def test_nothing_begins_without_id_or_content():
    """An id that comes late is waited for; content without an id is not held back."""
    writer = ResponsesWriter(ASKED)
    assert writer.chunk(Chunk("", 0, "", (Delta(role="assistant"),))) == b""
    assert names(read(writer.chunk(Chunk("", 0, "", (Delta(text="Hi"),)))))[0] == "created"


def test_a_later_id_changes_nothing():
    """All events of a stream belong to one reply, whatever a careless server sends."""
    events = stream(chunk(Delta(text="Hi")), Chunk("other", 9, "z", (Delta(finish="stop"),)))
    ids = {event["response"]["id"] for event in events if "response" in event}
    assert ids == {"resp_sidecar_1"}


def test_the_end_is_remembered():
    """A chunk behind the one that told the end does not take it back."""
    events = stream(chunk(Delta(text="Hi", finish="stop")), chunk(Delta(extra={"x": 1})))
    assert names(events)[-1] == "completed"


def test_one_choice():
    """Of an answer's choices the first is told, as in a whole reply."""
    events = stream(chunk(Delta(0, text="a"), Delta(1, text="b", finish="length")))
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "a"
    assert events[-1]["response"]["incomplete_details"] is None


def test_a_name_that_comes_late():
    """A call is told once its name is known, with all of its arguments."""
    writer = ResponsesWriter(ASKED)
    writer.chunk(chunk(Delta(role="assistant")))
    assert writer.chunk(call(id="c", arguments="{")) == b""
    added, delta = read(writer.chunk(call(name="f", arguments="}")))
    assert (added["item"]["name"], added["item"]["arguments"]) == ("f", "")
    assert delta["delta"] == "{}"


def test_a_call_without_a_name_or_an_id():
    """A call that was never named is still told at the end, under an id to answer it by."""
    events = stream(call(arguments="{}"), call(1, name="g"))
    output = events[-1]["response"]["output"]
    assert [(item["name"], item["call_id"]) for item in output] == [
        ("g", "call_1_1"),
        ("", "call_1_0"),
    ]
    assert output[1]["arguments"] == "{}"


def test_logprobs_and_annotations():
    """Tokens stand with their piece and, added up, in the whole text; so do citations."""
    token = {"token": "H", "logprob": -1, "bytes": [72], "top_logprobs": []}
    cited = {"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]}
    events = stream(
        chunk(Delta(extra=cited)),
        chunk(Delta(text="H", logprobs={"content": [token]})),
        chunk(Delta(text="i", finish="stop", logprobs={"content": [token]})),
    )
    deltas = [event["logprobs"] for event in events if event["type"].endswith("text.delta")]
    assert deltas == [[token], [token]]
    part = events[-1]["response"]["output"][0]["content"][0]
    assert part["logprobs"] == [token, token]
    assert part["annotations"] == [{"type": "url_citation", "url": "u"}]


def test_nothing_came():
    """A stream that ends without a chunk is a reply that is incomplete."""
    assert names(stream()) == ["created", "in_progress", "incomplete"]


@pytest.mark.parametrize("chunks", [(), (chunk(Delta(text="Hi")),)])
def test_failure(chunks):
    """A failure is told by its type and as an error, with no output and no other end."""
    writer = ResponsesWriter(ASKED)
    error = UpstreamError("no luck", reason="reset")
    events = read(b"".join(map(writer.chunk, chunks)) + writer.error(error))
    assert names(events)[0] == "created"
    failed, last = events[-2:]
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": "no luck"}
    assert failed["response"]["output"] == []
    assert (last["type"], last["code"], last["message"]) == ("error", *(error.code, "no luck"))
    assert last["error"]["attempts"] == []
    assert last["sequence_number"] == len(events) - 1


def test_details_displace_nothing():
    """An error's details can't take the place of its message, code or type."""
    error = SidecarError("no luck", detail={"message": "x", "code": "x", "type": "x", "more": 1})
    last = read(ResponsesWriter(ASKED).error(error))[-1]
    assert last["error"] == {
        "message": "no luck",
        "code": "internal",
        "param": None,
        "type": "server_error",
        "more": 1,
    }


def test_a_rate_limit():
    """A rate limit has a word of its own in this format."""

    class LimitedError(SidecarError):
        code = "rate_limited"

    events = read(ResponsesWriter(ASKED).error(LimitedError("slow down")))
    assert events[-2]["response"]["error"]["code"] == "rate_limit_exceeded"

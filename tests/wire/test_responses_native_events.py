"""Native streams: every event passed on once, in order, and no end that was not told."""

import orjson
import pytest

from sidecar.domain import Usage
from sidecar.errors import UpstreamError, UpstreamInvalidError, UpstreamTimeoutError
from sidecar.wire.assemble import assemble
from sidecar.wire.responses_format import ResponsesFormat
from sidecar.wire.responses_native_events import NativeReader
from sidecar.wire.sse import SseDecoder

FORMAT = ResponsesFormat()
ASKED = FORMAT.parse(b'{"model": "m", "input": "Hello", "store": true, "stream": true}')
TOLD = {"request_id": "req_1"}
BEGUN = {"id": "resp_1", "object": "response", "created_at": 5, "model": "gpt-4o", "output": []}
WHOLE = {
    **BEGUN,
    "status": "completed",
    "output": [{"type": "message", "id": "msg_1"}],
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def numbered(*events):
    """Events with their numbers."""
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


CREATED = {"type": "response.created", "response": BEGUN}
EVENTS = numbered(
    CREATED,
    {"type": "response.in_progress", "response": BEGUN},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}},
    {"type": "response.content_part.added", "part": {"type": "output_text"}},
    {"type": "response.output_text.delta", "delta": "Hel", "obfuscation": "xx"},
    {"type": "response.output_text.delta", "delta": "lo"},
    {"type": "response.output_text.done", "text": "Hello"},
    {"type": "response.something_new", "deep": [1]},
    {"type": "response.completed", "response": WHOLE},
)


def read(events):
    """The chunks of these events, and their reader."""
    reader = NativeReader()
    return [reader.read(orjson.dumps(event)) for event in events], reader


def events_of(data):
    """What a client reads of these bytes: each name is its type's."""
    read_ = [(event.event, orjson.loads(event.data)) for event in SseDecoder().feed(data)]
    assert all(name == event["type"] for name, event in read_)
    return [event for _, event in read_]


def passed_on(events, *, ends=True):
    """What a client gets of these events."""
    chunks, _ = read(events)
    writer = FORMAT.writer(ASKED)
    data = b"".join(map(writer.chunk, chunks))
    return events_of(data + writer.end(None, TOLD) if ends else data)


def test_events_are_passed_on_as_they_came():
    """All of them, unknown ones too, under their own numbers; the last tells what a head can't."""
    *before, last = passed_on(EVENTS)
    assert before == EVENTS[:-1]
    assert last == {**EVENTS[-1], "sidecar": TOLD}


def test_the_last_event_waits_for_the_end():
    """A stream that fails after it would else have ended regularly."""
    assert passed_on(EVENTS, ends=False) == EVENTS[:-1]


def test_what_is_read_of_them():
    """Id, model, text, usage and end are what everybody else needs to know."""
    chunks, reader = read(EVENTS)
    answer = assemble(chunks)
    assert (answer.id, answer.model, answer.usage) == ("resp_1", "gpt-4o", Usage(3, 2))
    assert (answer.choices[0].text, answer.choices[0].finish) == ("Hello", "stop")
    assert (reader.begun, reader.ended) == (True, True)


def test_what_a_client_would_see():
    """What only makes room is no content, so that another provider may still answer."""
    chunks, _ = read(EVENTS)
    seen = [any(delta.has_content for delta in chunk.deltas) for chunk in chunks]
    assert seen == [False] * 4 + [True] * 5


@pytest.mark.parametrize("kind", ["created", "in_progress", "queued"])
def test_an_opening_is_no_beginning(kind):
    """That a request was taken is no token of its answer."""
    _, reader = read([{"type": f"response.{kind}", "response": BEGUN}])
    assert not reader.begun


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_ends(status):
    """Each of the three tells the whole response, and ends the stream."""
    error = {"code": "invalid_prompt", "message": "x"} if status == "failed" else None
    whole = {**WHOLE, "status": status, "error": error}
    last = {"type": f"response.{status}", "sequence_number": 1, "response": whole}
    _, reader = read([CREATED, last])
    assert reader.ended
    assert passed_on([*numbered(CREATED), last])[-1] == {**last, "sidecar": TOLD}


@pytest.mark.parametrize("place", range(len(EVENTS) - 1))
def test_nothing_else_ends_a_stream(place):
    """Wherever it is cut, it has not come to its end."""
    assert not read(EVENTS[: place + 1])[1].ended


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "error", "code": "server_error", "message": "sk-canary"}, "overloaded"),
        ({"type": "error", "error": {"code": "rate_limit_exceeded"}}, "rate_limited"),
        ({"type": "error", "message": "sk-canary"}, "error_in_stream"),
        (
            {"type": "response.failed",
             "response": {**WHOLE, "status": "failed", "error": {"code": "server_error"}}},
            "overloaded",
        ),
    ],
)  # fmt: skip
def test_a_told_failure(event, reason):
    """Is an error with its word, and no event."""
    with pytest.raises(UpstreamError) as caught:
        read([event])
    assert caught.value.reason == reason
    assert "sk-canary" not in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"[DONE]", b"{}", b"[]", b'{"type": 5}', b'{"type": ""}',
        b'{"type": "response.completed"}',
        b'{"type": "response.completed", "response": {"id": "resp_1"}}',
    ],
)  # fmt: skip
def test_what_is_no_event(data):
    """Is the provider's fault, and never an end."""
    with pytest.raises(UpstreamInvalidError):
        NativeReader().read(data)


ERROR = UpstreamTimeoutError("it fell silent", reason="timeout_total")


@pytest.mark.parametrize("sent", [1, 5, 8, 9])
def test_a_failure_in_the_middle(sent):
    """Told twice, of the response that it was, under the numbers that follow."""
    chunks, _ = read(EVENTS[:sent])
    writer = FORMAT.writer(ASKED)
    events = events_of(b"".join(map(writer.chunk, chunks)) + writer.error(ERROR))
    failed, error = events[-2:]
    assert [event["type"] for event in events[-2:]] == ["response.failed", "error"]
    assert [event["sequence_number"] for event in events[-2:]] == [sent, sent + 1]
    assert (failed["response"]["id"], failed["response"]["status"]) == ("resp_1", "failed")
    assert failed["response"]["error"] == {"code": "server_error", "message": "it fell silent"}
    assert (error["code"], error["error"]["code"]) == ("upstream_timeout", "upstream_timeout")
    assert "response.completed" not in [event["type"] for event in events]


def test_a_failure_before_anything():
    """There is a response to tell it by all the same."""
    failed, error = events_of(FORMAT.writer(ASKED).error(ERROR))
    assert (failed["response"]["object"], failed["sequence_number"]) == ("response", 0)
    assert (error["type"], error["sequence_number"]) == ("error", 1)

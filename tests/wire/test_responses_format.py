"""The Responses format as the web layer uses it: beginnings and ends that fit together."""

from dataclasses import replace

import orjson

from sidecar.domain import Choice, Completion, Endpoint
from sidecar.errors import InvalidRequestError
from sidecar.wire.format import Format
from sidecar.wire.openai_reply import build_error
from sidecar.wire.replay import replay
from sidecar.wire.responses_format import ResponsesFormat
from sidecar.wire.sse import SseDecoder

FORMAT: Format = ResponsesFormat()
ASKED = FORMAT.parse(b'{"model": "m", "input": "Hello"}')
HI = Completion("chatcmpl-1", 5, "m", (Choice(0, "Hi", "stop"),))


def test_endpoint():
    """Its rows say which door they came through."""
    assert FORMAT.endpoint is Endpoint.RESPONSES


def test_new_ids():
    """An answer that is given again is named after its request, and looks like OpenAI's."""
    assert FORMAT.new_id("req_77") == "resp_sidecar_77"


def test_a_reply_given_again():
    """A kept answer's tail fits any head, so that it gets an id and a time of its own."""
    tail = FORMAT.tail(HI, ASKED)
    first = orjson.loads(FORMAT.head("chatcmpl-1", 5) + tail)
    again = orjson.loads(FORMAT.head(FORMAT.new_id("req_77"), 9) + tail)
    assert (again["id"], again["created_at"]) == ("resp_sidecar_77", 9)
    assert {**again, "id": "resp_sidecar_1", "created_at": 5} == first


def test_a_stream_given_again():
    """A kept answer that is streamed has its new id and time in every event that tells them."""
    writer = FORMAT.writer(ASKED)
    renewed = replace(HI, id=FORMAT.new_id("req_77"), created=9)
    data = b"".join(map(writer.chunk, replay(renewed))) + writer.end(None, {})
    events = [orjson.loads(event.data) for event in SseDecoder().feed(data)]
    replies = [event["response"] for event in events if "response" in event]
    assert {(reply["id"], reply["created_at"]) for reply in replies} == {("resp_sidecar_77", 9)}


def test_streams_share_nothing():
    """Each stream has a writer of its own, whose numbers begin at 0."""
    for _ in range(2):
        first = SseDecoder().feed(FORMAT.writer(ASKED).end(None, {}))[0]
        assert orjson.loads(first.data)["sequence_number"] == 0


def test_errors():
    """An error is in OpenAI's shape, as at the chat endpoint."""
    error = InvalidRequestError("no luck", param="model")
    assert FORMAT.error(error) == build_error(error)

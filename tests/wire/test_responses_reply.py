"""Whole replies in the Responses format: what an answer says, and what it must not claim."""

import orjson
import pytest

from sidecar.domain import ChatRequest, Choice, Completion, Finish, ToolCall, Usage
from sidecar.wire.responses_reply import (
    read_annotations,
    read_logprobs,
    response_head,
    response_tail,
    said,
    stem,
)
from sidecar.wire.responses_request import parse_responses_request

ASKED = parse_responses_request(b'{"model": "asked", "input": "Hello"}')
CITATION = {"url": "u", "title": "t", "start_index": 0, "end_index": 1}
TOKEN = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}


def reply(choice: Choice | None = None, request: ChatRequest = ASKED, **fields) -> dict:
    """The reply to an answer of one choice."""
    choice = Choice(0, "Hi", Finish.STOP) if choice is None else choice
    completion = Completion("chatcmpl-1", 5, fields.pop("model", "m"), (choice,), **fields)
    return orjson.loads(response_head("chatcmpl-1", 5) + response_tail(completion, request))


def test_head_and_tail_are_one_object():
    """Id and time stand before all else, so that the rest can be kept."""
    found = reply()
    assert list(found)[:3] == ["id", "object", "created_at"]
    assert (found["id"], found["object"], found["created_at"]) == ("resp_sidecar_1", "response", 5)
    assert found["output"][0]["content"][0]["text"] == "Hi"


@pytest.mark.parametrize(
    ("answer_id", "found"),
    [
        ("chatcmpl-1", "1"),
        ("resp_1", "1"),
        ("resp_sidecar_1", "1"),
        ("msg_1", "1"),
        ("1", "1"),
        ("", "0"),
        ("chatcmpl-", "0"),
    ],
)
def test_ids(answer_id, found):
    """Whatever vendor's id an answer has, a reply's is of this format, and never empty."""
    assert stem(answer_id) == found
    assert orjson.loads(response_head(answer_id, 5)[:-1] + b"}")["id"] == f"resp_sidecar_{found}"


def test_ids_are_the_same_each_time():
    """Two replies of one answer name its items alike, and no two items share a name."""
    choice = Choice(0, "Hi", Finish.STOP, (ToolCall("", "f", "{}"), ToolCall("", "f", "{}")))
    output = reply(choice)["output"]
    assert output == reply(choice)["output"]
    assert [item["id"] for item in output] == ["msg_1", "fc_1_0", "fc_1_1"]
    assert [item["call_id"] for item in output[1:]] == ["call_1_0", "call_1_1"]


@pytest.mark.parametrize(
    ("finish", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("function_call", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("pause_turn", "incomplete", None),
        (None, "incomplete", None),
    ],
)
def test_status(finish, status, details):
    """Only an answer that came to its own end is completed, and so are its items."""
    found = reply(Choice(0, "Hi", finish, (ToolCall("c", "f", "{}"),)))
    assert (found["status"], found["incomplete_details"]) == (status, details)
    assert [item["status"] for item in found["output"]] == [status, status]


def test_nothing_said():
    """An answer without text, refusal and calls has no items."""
    assert reply(Choice(0, "", Finish.STOP))["output"] == []
    assert reply(Choice(0, None, Finish.STOP, refusal=""))["output"] == []


def test_no_choices():
    """An answer without choices is incomplete, and no crash."""
    found = orjson.loads(b"{" + response_tail(Completion("x", 1, "m", ()), ASKED))
    assert (found["status"], found["output"]) == ("incomplete", [])


def test_text_and_refusal():
    """Both are parts of one message."""
    (item,) = reply(Choice(0, "Hm.", Finish.STOP, refusal="No."))["output"]
    assert [part["type"] for part in item["content"]] == ["output_text", "refusal"]


def test_usage():
    """Tokens have this format's names; unknown usage is null and not zero."""
    assert reply(usage=Usage(20, 7, 12, 3))["usage"] == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 27,
    }
    assert reply()["usage"] is None


def test_model():
    """The model is the one that answered, or the one asked for where nobody said."""
    assert (reply()["model"], reply(model="")["model"]) == ("m", "asked")


def test_service_tier():
    """The tier that served an answer displaces the one asked for; no other fact does anything."""
    asked = parse_responses_request(b'{"model": "m", "input": "x", "service_tier": "auto"}')
    assert reply(request=asked)["service_tier"] == "auto"
    extra = {"service_tier": "default", "status": "failed", "output": 5, "id": "x"}
    found = reply(request=asked, extra=extra)
    assert (found["service_tier"], found["status"], found["id"]) == (
        "default",
        "completed",
        "resp_sidecar_1",
    )
    assert reply(extra={"service_tier": 5})["service_tier"] is None


def test_never_claims_to_keep():
    """No reply says that it can be asked for again; one that was to be stored is native."""
    asked = parse_responses_request(b'{"model": "m", "input": "x"}')
    assert reply(request=asked)["store"] is False


def test_a_request_of_another_kind():
    """A request that does not know its own words is answered with the defaults."""
    assert reply(request=ChatRequest("m", ()))["tools"] == []


def test_annotations():
    """A citation stands one level up in this format; what is no citation is left out."""
    chat = [{"type": "url_citation", "url_citation": CITATION}, {"type": "x"}, 5]
    flat = [{"type": "url_citation", **CITATION}]
    assert read_annotations({"annotations": chat}) == flat
    assert read_annotations({"annotations": "x"}) == []
    found = reply(Choice(0, "Hi", Finish.STOP, extra={"annotations": chat}))
    assert found["output"][0]["content"][0]["annotations"] == flat


def test_logprobs():
    """Tokens have all that the SDK's type requires, whatever a provider left out."""
    chat = {"content": [{**TOKEN, "top_logprobs": [{"token": "H", "logprob": -1}]}, {}, 5]}
    first, second = read_logprobs(chat)
    assert first == {**TOKEN, "top_logprobs": [{"token": "H", "logprob": -1, "bytes": []}]}
    assert (second["token"], second["bytes"], second["top_logprobs"]) == ("", [], [])
    for other in (None, 5, {"content": None}, {"refusal": []}):
        assert read_logprobs(other) == []
    found = reply(Choice(0, "Hi", Finish.STOP, logprobs=chat))
    assert found["output"][0]["content"][0]["logprobs"] == [first, second]


def test_text_in_parts():
    """Text that a vendor sent in parts is not lost, and what it thought is no text."""
    parts = [
        {"type": "thinking", "thinking": [], "text": "hm"},
        {"type": "text", "text": "Hi"},
        {"type": "text"},
        5,
    ]
    assert said(None, {"content": parts}) == "Hi"
    assert said(" there", {"content": parts}) == "Hi there"
    assert said("Hi", {"content": "x"}) == "Hi"
    assert said(None, {}) == ""

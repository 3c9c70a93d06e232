"""Items of a streamed Responses reply: their pieces add up, wherever they come."""

from sidecar.domain import ToolCallDelta
from sidecar.wire.responses_items import REFUSAL, TEXT, GrowingCall, GrowingMessage

TOKEN = {"token": "H", "logprob": -1}


def test_a_message():
    """Each part is told before its first piece, has a place of its own, and adds up."""
    message = GrowingMessage("msg_1", 2)
    pieces = [(TEXT, "a"), (REFUSAL, "no"), (TEXT, "b")]
    events = [event for kind, piece in pieces for event in message.say(kind, piece, ())]
    assert [(name, fields["content_index"]) for name, fields in events] == [
        ("response.content_part.added", 0),
        ("response.output_text.delta", 0),
        ("response.content_part.added", 1),
        ("response.refusal.delta", 1),
        ("response.output_text.delta", 0),
    ]
    *_, (name, fields) = message.closed("completed")
    assert (name, fields["output_index"]) == ("response.output_item.done", 2)
    assert [part.get("text", part.get("refusal")) for part in fields["item"]["content"]] == [
        "ab",
        "no",
    ]


def test_tokens_of_a_refusal():
    """Logprobs belong to text alone, for the type of a refusal has no place for them."""
    message = GrowingMessage("msg_1", 0)
    (_, (_, text)) = message.say(TEXT, "H", [TOKEN])
    (_, (_, refusal)) = message.say(REFUSAL, "H", [TOKEN])
    assert text["logprobs"] == [TOKEN]
    assert "logprobs" not in refusal


def test_what_comes_after_the_text():
    """Citations that come last still stand in the whole text."""
    citations = []
    message = GrowingMessage("msg_1", 0, citations)
    list(message.say(TEXT, "H", ()))
    citations.append({"type": "url_citation"})
    *_, (_, fields) = message.closed("completed")
    assert fields["item"]["content"][0]["annotations"] == citations


def test_a_call():
    """Id, name and kind count once; what came before the beginning is told with it."""
    call = GrowingCall("fc_1", "call_1")
    for piece in (ToolCallDelta(0, "c", arguments="x"), ToolCallDelta(0, "d", "f", "y", "custom")):
        call.learn(piece)
    (_, added), (name, delta) = call.opened(3)
    assert (added["item"]["call_id"], added["item"]["type"]) == ("c", "custom_tool_call")
    assert (name, delta["delta"]) == ("response.custom_tool_call_input.delta", "xy")
    *_, (_, done) = call.closed("completed")
    assert (done["item"]["input"], done["output_index"]) == ("xy", 3)


def test_a_call_without_an_id():
    """A call is never without an id to answer it by."""
    call = GrowingCall("fc_1", "call_1")
    call.learn(ToolCallDelta(0, name="f"))
    ((_, added),) = call.opened(0)
    assert added["item"]["call_id"] == "call_1"

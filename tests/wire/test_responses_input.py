"""Input items as the turns of a chat: calls beside the words of the turn that made them."""

import pytest

from sidecar.domain import Attachment, Message, Role, Text, ToolCall
from sidecar.wire.body import MalformedError
from sidecar.wire.responses_input import read_input

HELLO = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "21 °C"}
SAID = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Wait."}],
}
PNG = "data:image/png;base64,AA=="


def call(name: str) -> dict:
    """A call by the id `name`."""
    return {**CALL, "call_id": name}


def parts(*content: dict) -> tuple:
    """The parts of a user's message of this content."""
    return read_input([{"role": "user", "content": list(content)}])[0].content


def test_text():
    """A string is one turn of the user's."""
    assert read_input("Hello") == [Message(Role.USER, (Text("Hello"),))]


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
@pytest.mark.parametrize("kind", [{}, {"type": "message"}, {"type": None}])
def test_plain_messages(role, kind):
    """A message may leave out its type, and its content may be a string."""
    assert read_input([{**kind, "role": role, "content": "x"}]) == [
        Message(Role(role), (Text("x"),))
    ]


def test_what_an_earlier_item_says_of_itself():
    """Id, status, annotations and logprobs of an earlier reply reach no model."""
    text = {"type": "output_text", "text": "Hi", "annotations": [{"x": 1}], "logprobs": []}
    item = {**SAID, "id": "msg_1", "status": "completed", "content": [text]}
    assert read_input([item]) == [Message(Role.ASSISTANT, (Text("Hi"),))]


def test_refusals():
    """Why an assistant would not is its turn's refusal."""
    content = [{"type": "refusal", "refusal": "No"}, {"type": "refusal", "refusal": "."}]
    assert read_input([{"role": "assistant", "content": content}]) == [
        Message(Role.ASSISTANT, refusal="No.")
    ]


def test_a_call_and_its_answer():
    """A call is an assistant's turn, its answer a tool's."""
    assert read_input([CALL, OUTPUT]) == [
        Message(Role.ASSISTANT, (), (ToolCall("c", "f", "{}"),)),
        Message(Role.TOOL, (Text("21 °C"),), tool_call_id="c"),
    ]


def test_custom_calls():
    """A custom tool's call has an input of any text."""
    items = [
        {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select 1"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
    ]
    first, second = read_input(items)
    assert first.tool_calls == (ToolCall("c", "sql", "select 1", "custom"),)
    assert (second.role, second.tool_call_id) == (Role.TOOL, "c")


@pytest.mark.parametrize("items", [[SAID, call("a"), call("b")], [call("a"), SAID, call("b")]])
def test_words_and_calls_are_one_turn(items):
    """The assistant's words and the calls around them are one turn, each answer behind it."""
    turns = read_input([HELLO, *items, {**OUTPUT, "call_id": "a"}, {**OUTPUT, "call_id": "b"}])
    assert [turn.role for turn in turns] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.TOOL]
    assert turns[1].texts == ("Wait.",)
    assert [made.id for made in turns[1].tool_calls] == ["a", "b"]


def test_two_messages_are_two_turns():
    """An assistant that spoke twice has two turns."""
    assert [turn.texts for turn in read_input([SAID, SAID])] == [("Wait.",), ("Wait.",)]


def test_calls_one_after_the_other():
    """A call behind the answer of another is a turn of its own."""
    roles = [turn.role.value for turn in read_input([call("a"), OUTPUT, call("b"), OUTPUT])]
    assert roles == ["assistant", "tool", "assistant", "tool"]


def test_parts():
    """Each part is what chat has for it, in its order."""
    assert parts(
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": PNG, "detail": "low", "file_id": None},
        {"type": "input_image", "image_url": PNG},
        {"type": "input_file", "file_data": "x", "filename": "a.pdf"},
        {"type": "input_file", "file_id": "file_1"},
        {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
    ) == (
        Text("a"),
        Attachment("image_url", {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}),
        Attachment("image_url", {"type": "image_url", "image_url": {"url": PNG}}),
        Attachment("file", {"type": "file", "file": {"file_data": "x", "filename": "a.pdf"}}),
        Attachment("file", {"type": "file", "file": {"file_id": "file_1"}}),
        Attachment(
            "input_audio",
            {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
        ),
    )


def test_an_answer_in_parts():
    """A tool may answer with an image; it is not lost."""
    image = {"type": "input_image", "image_url": PNG}
    (turn,) = read_input([{**OUTPUT, "output": [{"type": "input_text", "text": "a"}, image]}])
    assert turn.texts == ("a",)
    assert turn.has_attachment


def test_an_empty_answer():
    """A tool may have nothing to say."""
    assert read_input([{**OUTPUT, "output": ""}])[0].content == (Text(""),)


def message(*content) -> dict:
    """A user's message of this content."""
    return {"role": "user", "content": list(content)}


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ("hi", "input[1]"),
        ({"type": 5}, "input[1].type"),
        ({"type": "reasoning", "summary": [], "encrypted_content": "x"}, "input[1].type"),
        ({"type": "item_reference", "id": "msg_1"}, "input[1].type"),
        ({"type": "web_search_call", "id": "ws_1"}, "input[1].type"),
        ({"content": "x"}, "input[1].role"),
        ({"role": "tool", "content": "x"}, "input[1].role"),
        ({"role": ["user"], "content": "x"}, "input[1].role"),
        ({"role": "user"}, "input[1].content"),
        ({"role": "user", "content": []}, "input[1].content"),
        ({"role": "user", "content": 5}, "input[1].content"),
        ({"role": "assistant"}, "input[1].content"),
        ({**HELLO, "name": "bob"}, "input[1].name"),
        ({**SAID, "phase": "commentary"}, "input[1].phase"),
        (message("x"), "input[1].content[0]"),
        (message({"text": "x"}), "input[1].content[0].type"),
        (message({"type": "output_text", "text": "x"}), "input[1].content[0].type"),
        (message({"type": "input_text"}), "input[1].content[0].text"),
        (message({"type": "input_text", "text": "x", "y": 1}), "input[1].content[0].y"),
        (message({"type": "input_image", "file_id": "f"}), "input[1].content[0].file_id"),
        (message({"type": "input_image"}), "input[1].content[0].image_url"),
        (
            message({"type": "input_image", "image_url": PNG, "detail": "original"}),
            "input[1].content[0].detail",
        ),
        (message({"type": "input_file", "file_url": "u"}), "input[1].content[0].file_url"),
        (message({"type": "input_file", "filename": "a"}), "input[1].content[0].file_data"),
        (message({"type": "input_audio"}), "input[1].content[0].input_audio"),
        (
            {"role": "assistant", "content": [{"type": "input_text", "text": "x"}]},
            "input[1].content[0].type",
        ),
        (
            {"role": "assistant", "content": [{"type": "output_text", "text": "x", "parsed": {}}]},
            "input[1].content[0].parsed",
        ),
        ({**CALL, "call_id": ""}, "input[1].call_id"),
        ({**CALL, "name": None}, "input[1].name"),
        ({**CALL, "arguments": {}}, "input[1].arguments"),
        ({**CALL, "namespace": "n"}, "input[1].namespace"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "n"}, "input[1].input"),
        ({**OUTPUT, "call_id": None}, "input[1].call_id"),
        ({**OUTPUT, "output": None}, "input[1].output"),
        ({**OUTPUT, "output": []}, "input[1].output"),
        ({**OUTPUT, "output": [{"type": "x"}]}, "input[1].output[0].type"),
    ],
)
def test_refused_by_name(item, path):
    """Each refusal names the place that is wrong, counted from the first item."""
    with pytest.raises(MalformedError) as caught:
        read_input([HELLO, item])
    assert caught.value.path == path

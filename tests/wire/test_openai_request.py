"""OpenAI chat requests: what is understood, what is refused by name, and what is sent on."""

import orjson
import pytest

from sidecar.domain import Attachment, ChatRequest, Message, Role, Text, ToolCall
from sidecar.errors import InvalidRequestError
from sidecar.wire.openai_request import build_chat_request, parse_chat_request

HELLO = {"role": "user", "content": "Hello"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def body(**fields) -> bytes:
    """The smallest request, changed in these fields."""
    return orjson.dumps({"model": "gpt-4o", "messages": [HELLO], **fields})


def parse(**fields) -> ChatRequest:
    """That request, understood."""
    return parse_chat_request(body(**fields))


def message(**fields) -> Message:
    """One message of these fields, understood."""
    return parse(messages=[fields]).messages[0]


def sent(**fields) -> dict:
    """What a provider is sent for a request of these fields."""
    return orjson.loads(build_chat_request(parse(**fields), "there"))


def refusal(raw: bytes) -> InvalidRequestError:
    """What is said against this body, in one line."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_chat_request(raw)
    assert "\n" not in caught.value.message
    return caught.value


def test_smallest_request():
    """A model and one message are enough."""
    assert parse() == ChatRequest("gpt-4o", (Message(Role.USER, (Text("Hello"),)),))


def test_fields_are_sorted():
    """What changes an answer, what labels it, and what is unknown stand apart."""
    request = parse(temperature=0, user="u", top_k=5, metadata={"feature": "faq"}, seed=1)
    assert request.parameters == {"temperature": 0, "seed": 1}
    assert request.labels == {"user": "u", "metadata": {"feature": "faq"}}
    assert request.unknown == {"top_k": 5}


def test_unknown_null_is_kept():
    """What null means in a field unknown here only the provider knows."""
    assert sent(top_k=None)["top_k"] is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"model": 4}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": {"0": HELLO}}, "messages"),
        ({"messages": [HELLO, "hi"]}, "messages[1]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "hi"}]}, "messages[0].role"),
        ({"messages": [HELLO, {"role": "user", "content": 5}]}, "messages[1].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": {}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [IMAGE, {"type": "text"}]}]},
            "messages[0].content[1].text",
        ),
        ({"messages": [{**HELLO, "name": 5}]}, "messages[0].name"),
        (
            {"messages": [{"role": "tool", "content": "1", "tool_call_id": 5}]},
            "messages[0].tool_call_id",
        ),
        ({"messages": [{"role": "assistant", "refusal": 5}]}, "messages[0].refusal"),
        ({"messages": [{"role": "assistant", "tool_calls": "f"}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": 0}]}, "messages[0].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"type": "function"}]}]},
            "messages[0].tool_calls[0].id",
        ),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"prompt": {"id": "greeting"}}, "prompt"),
        ({"context": {"documents": []}}, "context"),
    ],
)
def test_refused_by_name(fields, param):
    """Each refusal names the place that is wrong, as a client would write it."""
    assert refusal(body(**fields)).param == param


def test_values_are_never_quoted():
    """A refusal tells what was expected and nothing of what was sent."""
    error = refusal(body(temperature="sk-canary", messages=[{"role": "sk-canary"}]))
    assert "sk-canary" not in str(error)


def test_reserved_null_is_absent():
    """A null `prompt` asks for nothing, and no provider is sent it."""
    assert "prompt" not in sent(prompt=None)


def test_stream_options():
    """Whether the client wants usage is told apart from the other options."""
    request = parse(stream=True, stream_options={"include_usage": True, "x": 1})
    assert (request.stream, request.include_usage, request.stream_options) == (True, True, {"x": 1})


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}])
def test_usage_is_always_asked_for(options):
    """A provider's stream always ends with usage, whatever the client wants to see."""
    assert sent(stream=True, stream_options=options)["stream_options"] == {"include_usage": True}


def test_other_stream_options_are_sent():
    """Options unknown here reach the provider."""
    options = sent(stream=True, stream_options={"include_obfuscation": False})["stream_options"]
    assert options == {"include_obfuscation": False, "include_usage": True}


def test_no_stream_no_options():
    """Without a stream neither field is sent, for providers refuse options alone."""
    assert not {"stream", "stream_options"} & set(sent(stream_options={"include_usage": True}))


def test_provider_is_asked_for_its_own_model():
    """The model sent is the target's, not the one that was asked for."""
    assert sent()["model"] == "there"


@pytest.mark.parametrize("role", list(Role))
def test_each_role(role):
    """Every role is known."""
    assert message(role=role.value, content="x").role is role


def test_lone_text_is_sent_as_a_string():
    """One text part is the same as a string, and is sent as one."""
    asked = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    assert parse(messages=asked) == parse()
    assert sent(messages=asked)["messages"] == [HELLO]


def test_parts_keep_their_order():
    """Texts and other parts stay as they were, in their order."""
    parts = [{"type": "text", "text": "a"}, IMAGE, {"type": "text", "text": "b"}]
    found = message(role="user", content=parts)
    assert found.content == (Text("a"), Attachment("image_url", IMAGE), Text("b"))
    assert sent(messages=[{"role": "user", "content": parts}])["messages"][0]["content"] == parts


def test_text_with_more_is_kept_whole():
    """A text part with fields beside it loses none of them."""
    part = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    assert message(role="user", content=[part]).content == (Attachment("text", part),)
    assert sent(messages=[{"role": "user", "content": [part]}])["messages"][0]["content"] == [part]


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": []}])
def test_assistant_may_say_nothing(content):
    """An assistant's turn may hold only tool calls; its content is then null."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = {"role": "assistant", "tool_calls": [call], **content}
    assert message(**asked) == Message(Role.ASSISTANT, (), (ToolCall("c", "f", "{}"),))
    assert sent(messages=[asked])["messages"] == [
        {"role": "assistant", "content": None, "tool_calls": [call]}
    ]


@pytest.mark.parametrize("role", [Role.USER, Role.TOOL, Role.SYSTEM, Role.DEVELOPER])
def test_empty_turn_is_sent_as_empty_text(role):
    """A turn without content, as another format may have it, is sent as an empty string."""
    raw = build_chat_request(ChatRequest("m", (Message(role),)), "m")
    assert orjson.loads(raw)["messages"] == [{"role": role.value, "content": ""}]


def test_earlier_answer_as_an_sdk_dumps_it():
    """What an SDK dumps as null in an earlier answer is as if it weren't there."""
    plain = {"role": "assistant", "content": "Hi"}
    nulls = ("refusal", "audio", "function_call", "tool_calls", "annotations", "name")
    assert message(**plain, **dict.fromkeys(nulls)) == message(**plain)


def test_other_message_fields_are_kept():
    """Fields of a message that are unknown here reach the provider."""
    asked = {**HELLO, "name": "bob", "reasoning_content": "hm", "x": {"y": None}, "z": None}
    assert sent(messages=[asked])["messages"] == [asked]


def test_tool_answer():
    """A tool's answer keeps the id of its call."""
    asked = {"role": "tool", "tool_call_id": "c", "content": "21 °C"}
    assert message(**asked).tool_call_id == "c"
    assert sent(messages=[asked])["messages"] == [asked]


def test_tools_and_parameters_are_sent_exactly():
    """Nested structures are sent as they came."""
    fields = {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": [1, None]}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True}},
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "functions": [{"name": "g"}],
        "user": "u",
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert fields.items() <= sent(**fields).items()


def test_malformed_json():
    """What is no JSON object is refused like everything else."""
    assert refusal(b"[]").param is None

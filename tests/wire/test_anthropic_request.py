"""Anthropic requests, read: what each field becomes, and which are refused by name."""

import orjson
import pytest

from sidecar.domain import Attachment, Dialect, Message, Role, Text, ToolCall
from sidecar.errors import InvalidRequestError
from sidecar.wire.anthropic_request import parse_count_request, parse_messages_request
from sidecar.wire.headers import read_caller

from .messages import (
    CACHED,
    DOCUMENT,
    HELLO,
    IMAGE,
    RESULT,
    THOUGHT,
    USE,
    WEATHER,
    body,
    parse,
    sent,
)


def refusal(raw: bytes) -> InvalidRequestError:
    """What is raised for these bytes."""
    with pytest.raises(InvalidRequestError) as raised:
        parse_messages_request(raw)
    assert raised.value.status == 400
    return raised.value


def asked(role: str, *blocks: object) -> dict:
    """Fields of a request with one turn of these blocks, after a first one."""
    turns = [HELLO] if role == "assistant" else []
    return {"messages": [*turns, {"role": role, "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"context": {"documents": []}}, "context"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"temperature": 1.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": {"user": "bob"}}, "metadata"),
        ({"metadata": {"user_id": 5}}, "metadata"),
        ({"thinking": True}, "thinking"),
        ({"betas": ["a,b"]}, "betas"),
        ({"betas": ["a\r\nx-api-key: b"]}, "betas"),
        ({"betas": [""]}, "betas"),
        ({"system": 5}, "system"),
        ({"system": [IMAGE]}, "system"),
        ({"system": [{"type": "text"}]}, "system[0].text"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [HELLO, 5]}, "messages[1]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "system", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{**HELLO, "name": "bob"}]}, "messages[0].name"),
        (asked("user", "hi"), "messages[0].content[0]"),
        (asked("user", {"text": "hi"}), "messages[0].content[0]"),
        (asked("user", {"type": "text", "text": 5}), "messages[0].content[0].text"),
        (asked("user", {"type": "image"}), "messages[0].content[0].source"),
        (asked("user", {"type": "image_url"}), "messages[0].content[0].type"),
        (asked("user", {**RESULT, "tool_use_id": ""}), "messages[0].content[0].tool_use_id"),
        (asked("user", {**RESULT, "is_error": 1}), "messages[0].content[0].is_error"),
        (asked("user", {**RESULT, "content": {}}), "messages[0].content[0].content"),
        (asked("user", {**RESULT, "content": ["x"]}), "messages[0].content[0].content[0]"),
        (asked("assistant", {**USE, "id": None}), "messages[1].content[0].id"),
        (asked("assistant", {**USE, "name": ""}), "messages[1].content[0].name"),
        (asked("assistant", {**USE, "input": "{}"}), "messages[1].content[0].input"),
        ({"tools": {}}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [WEATHER, {"name": "f"}]}, "tools[1].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{**WEATHER, "description": 5}]}, "tools[0].description"),
        ({"tools": [{**WEATHER, "strict": "yes"}]}, "tools[0].strict"),
        ({"tools": [{**WEATHER, "type": "function"}]}, "tools[0].type"),
        ({"tools": [{**WEATHER, "function": {}}]}, "tools[0].function"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "required"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "auto", "name": "f"}}, "tool_choice.name"),
        (
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": 1}},
            "tool_choice.disable_parallel_tool_use",
        ),
    ],
)
def test_refused_by_name(fields, param):
    """Each refusal names the place that is wrong, as a client would write it."""
    assert refusal(body(**fields)).param == param


def test_a_body_that_is_no_object_is_refused():
    """Like everything else."""
    assert refusal(b"[]").param is None


def test_values_are_never_quoted():
    """A refusal tells what was expected and nothing of what was sent."""
    assert "sk-canary" not in str(refusal(body(temperature="sk-canary")))


def test_parameters_get_the_domains_names():
    """So that the cache, limits and other providers' codecs read them."""
    request = parse(temperature=0.5, top_p=0.9, stop_sequences=["x"])
    assert request.parameters == {
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["x"],
    }
    assert request.dialect is Dialect.ANTHROPIC


def test_what_has_no_word_is_kept_in_anthropics():
    """Known here or not, it belongs to the request."""
    thinking = {"type": "enabled", "budget_tokens": 2000}
    request = parse(thinking=thinking, top_k=5, mcp_servers=[], new=None, other={"a": 1})
    assert request.unknown == {
        "thinking": thinking,
        "top_k": 5,
        "mcp_servers": [],
        "other": {"a": 1},
    }


def test_the_system_prompt_leads():
    """As one message, a string or blocks."""
    assert parse(system="Be brief").messages[0] == Message(Role.SYSTEM, (Text("Be brief"),))
    blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": CACHED}]
    first = parse(system=blocks).messages[0]
    assert first == Message(Role.SYSTEM, (Text("a"), Attachment("text", blocks[1])))


@pytest.mark.parametrize("system", [None, []])
def test_no_system_prompt_is_no_message(system):
    """An empty list says as much as nothing."""
    assert parse(system=system).messages[0].role is Role.USER


def test_a_cap_of_nothing_is_a_cap():
    """It has the prompt read into Anthropic's cache, and nothing said."""
    assert sent(max_tokens=0)["max_tokens"] == 0


def test_a_call_is_a_call():
    """Its input is the JSON text that other formats have."""
    message = parse(**asked("assistant", {"type": "text", "text": "Let me see"}, USE)).messages[1]
    call = ToolCall("toolu_1", "get_weather", '{"city":"Bonn"}')
    assert message == Message(Role.ASSISTANT, (Text("Let me see"),), (call,))


def test_a_users_turn_is_cut_where_tools_answer():
    """Results are messages of their own, in their place."""
    text = {"type": "text", "text": "And now?"}
    other = {**RESULT, "tool_use_id": "toolu_2", "is_error": True, "content": [IMAGE]}
    first, second, third = parse(**asked("user", RESULT, other, text)).messages
    assert first == Message(Role.TOOL, (Text("21 °C"),), tool_call_id="toolu_1")
    assert (second.tool_call_id, second.extra) == ("toolu_2", {"is_error": True})
    assert second.content[0].kind == "image_url"
    assert third == Message(Role.USER, (Text("And now?"),))


def test_words_behind_a_call_stay_behind_it():
    """A message of the domain has its calls last, so the turn is cut."""
    text = {"type": "text", "text": "done"}
    _, first, second = parse(**asked("assistant", USE, text)).messages
    assert (len(first.tool_calls), first.content, second.content) == (1, (), (Text("done"),))


@pytest.mark.parametrize(
    ("source", "url"),
    [
        (IMAGE["source"], "data:image/png;base64,iVBO"),
        ({"type": "url", "url": "https://a/b.png"}, "https://a/b.png"),
    ],
)
def test_an_image_has_the_domains_word(source, url):
    """So that other providers are shown it."""
    block = {"type": "image", "source": source, "cache_control": CACHED}
    part = parse(**asked("user", block)).messages[0].content[0]
    raw = {"type": "image_url", "image_url": {"url": url}, "cache_control": CACHED}
    assert part == Attachment("image_url", raw)


@pytest.mark.parametrize(
    "source",
    [
        {"type": "file", "file_id": "f1"},
        {"type": "url", "url": "data:image/png;base64,iVBO"},
        {"type": "base64", "media_type": "a;b/c", "data": ""},
        {**IMAGE["source"], "x": 1},
    ],
)
def test_an_image_that_no_url_tells_is_kept(source):
    """What can't be undone exactly is not done."""
    block = {"type": "image", "source": source}
    assert parse(**asked("user", block)).messages[0].content[0] == Attachment("image", block)


@pytest.mark.parametrize("block", [THOUGHT, DOCUMENT, {"type": "new_kind", "x": [1]}])
def test_other_blocks_are_kept_whole(block):
    """With signature, citations and all."""
    part = parse(**asked("assistant", block)).messages[1].content[0]
    assert part == Attachment(block["type"], block)


def test_an_earlier_answer_as_an_sdk_dumps_it():
    """The nulls in it are as if they weren't there."""
    dumped = {"type": "text", "text": "Hi", "citations": None, "cache_control": None}
    assert parse(**asked("assistant", dumped)).messages[1].content == (Text("Hi"),)


def test_a_tool_is_a_function():
    """With what only Anthropic knows beside it."""
    tool = {**WEATHER, "type": "custom", "strict": True, "cache_control": CACHED, "x": 1}
    (read,) = parse(tools=[tool]).tools
    assert read == {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tells the weather",
            "parameters": WEATHER["input_schema"],
            "strict": True,
        },
        "cache_control": CACHED,
        "x": 1,
    }


def test_anthropics_own_tools_are_kept():
    """Nobody else can run them, and nobody but their codec may decide so."""
    tool = {"type": "web_search_20250305", "name": "web_search"}
    assert parse(tools=[tool]).tools == (tool,)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f"},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_the_choice_of_tools(choice, expected):
    """Each has its word in the domain."""
    parameters = dict(parse(tool_choice=choice).parameters)
    assert parameters == {"max_tokens": 100, **expected}


def test_the_user_is_known_to_usage():
    """`metadata.user_id` is where Anthropic's clients name who asks."""
    request = parse(metadata={"user_id": "bob"})
    assert read_caller({}, request.labels).user == "bob"


def test_counting_needs_no_cap():
    """Nothing is made there."""
    raw = orjson.dumps({"model": "m", "messages": [HELLO]})
    assert "max_tokens" not in parse_count_request(raw).parameters

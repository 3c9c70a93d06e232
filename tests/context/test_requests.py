"""What a whole request takes: text, what stands around it, and what can't be counted."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.context.requests import count_request
from sidecar.context.tokens import count
from sidecar.domain import Attachment, ChatRequest, Message, Role, Text, ToolCall
from sidecar.errors import InvalidRequestError

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {
                    "type": "string",
                    "description": "The city and state, e.g. San Francisco, CA",
                },
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}


def counted(*messages: Message, tools: tuple[Any, ...] = ()) -> int:
    """The tokens of a request, by gpt-4o's tokenizer."""
    request = ChatRequest("gpt-4o", messages, tools)
    return count_request(request, lambda text: count(text, "o200k_base"))


def said(text: str, role: Role = Role.USER, **fields: Any) -> Message:
    """One message."""
    return Message(role, (Text(text),), **fields)


def test_openais_own_example_of_messages() -> None:
    """The cookbook's six messages take 124 tokens, as the API itself counts for gpt-4o."""
    system = "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."  # noqa: E501
    user, assistant = "example_user", "example_assistant"
    messages = [
        said(system, Role.SYSTEM),
        said("New synergies will help drive top-line growth.", Role.SYSTEM, name=user),
        said("Things working well together will increase revenue.", Role.SYSTEM, name=assistant),
        said(
            "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",  # noqa: E501
            Role.SYSTEM,
            name=user,
        ),
        said(
            "Let's talk later when we're less busy about how to do better.",
            Role.SYSTEM,
            name=assistant,
        ),
        said(
            "This late pivot means we don't have time to boil the ocean for the client deliverable."
        ),
    ]
    assert counted(*messages) == 124


def test_openais_own_example_of_tools() -> None:
    """The cookbook's tool with its two messages takes 101 tokens, as the API counts for gpt-4o."""
    system = "You are a helpful assistant that can answer to questions about the weather."
    messages = (
        said(system, Role.SYSTEM),
        said("What's the weather like in San Francisco?"),
    )
    assert counted(*messages, tools=(WEATHER,)) == 101


def test_every_part_counts() -> None:
    """A name, a call, its arguments, a refusal, a nested parameter: each makes it more."""
    plain = counted(Message(Role.ASSISTANT))
    call = ToolCall("c", "get_weather", '{"city": "Paris"}')
    assert counted(Message(Role.ASSISTANT, name="ada")) > plain
    assert counted(Message(Role.ASSISTANT, refusal="I can't do that")) > plain
    assert counted(Message(Role.ASSISTANT, tool_calls=(call,))) >= plain + 3 + 2 + 5


def test_nested_parameters_count() -> None:
    """At every depth, in objects and in lists."""
    inner = {"type": "object", "properties": {"deep": {"type": "string", "description": "words"}}}
    shallow, nested, listed = (
        {"type": "object"}, inner, {"type": "array", "items": inner},
    )  # fmt: skip
    tools = [
        {"function": {"name": "f", "parameters": {"properties": {"a": schema}}}}
        for schema in (shallow, nested, listed)
    ]
    bare, deep, in_list = (counted(said("x"), tools=(tool,)) for tool in tools)
    assert deep > bare
    assert in_list > bare


def test_a_text_with_fields_beside_it_is_a_text() -> None:
    """Such as a cache hint."""
    raw = {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}
    hinted = Message(Role.USER, (Attachment("text", raw),))
    assert counted(hinted) == counted(said("hello"))


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "document"])
def test_what_has_no_count_is_refused_by_name(kind: str) -> None:
    """Rather than left out."""
    with pytest.raises(InvalidRequestError) as raised:
        counted(Message(Role.USER, (Text("?"), Attachment(kind, {"type": kind}))))
    assert kind in raised.value.message


def test_a_tool_that_is_no_function_is_refused_by_name() -> None:
    """A vendor's own tools put words of their own into the prompt."""
    with pytest.raises(InvalidRequestError) as raised:
        counted(said("x"), tools=({"type": "web_search"},))
    assert "web_search" in raised.value.message

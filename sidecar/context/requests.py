"""How many input tokens a chat request takes at an OpenAI model. Pure: counting is given.

Text is counted exactly. What a model adds around messages and tools is published for
messages and for simple tools, and is applied as published ("How to count tokens with
tiktoken", OpenAI Cookbook); for calls in earlier turns and nested parameters it is the
same reckoning carried further, so there a count is near and not exact. What has no count
that follows from the request, such as an image, is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from sidecar.domain import Attachment, ChatRequest, Json, Message, Part, Text
from sidecar.errors import InvalidRequestError
from sidecar.wire.body import dump

Count: TypeAlias = Callable[[str], int]

PER_MESSAGE, PER_NAME, PRIMING = 3, 1, 3
PER_FUNCTION, FUNCTIONS_END = 7, 12
PER_PROPERTIES, PER_PROPERTY = 3, 3
PER_ENUM, PER_ENUM_ITEM = -3, 3


def count_request(request: ChatRequest, count: Count) -> int:
    """The tokens of messages and tools, with what the model adds around them."""
    messages = sum(_of_message(message, count) for message in request.messages)
    return messages + PRIMING + _of_tools(request.tools, count)


def _of_message(message: Message, count: Count) -> int:
    tokens = PER_MESSAGE + count(message.role.value)
    tokens += sum(count(_text(part)) for part in message.content)
    tokens += count(message.refusal or "")
    if message.name is not None:
        tokens += PER_NAME + count(message.name)
    for call in message.tool_calls:
        tokens += PER_MESSAGE + count(call.name) + count(call.arguments)
    return tokens


def _text(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    return _text_of(part)


def _text_of(part: Attachment) -> str:
    """A text with fields beside it. Anything else takes what its content decides."""
    text = part.raw.get("text")
    if part.kind == "text" and isinstance(text, str):
        return text
    raise InvalidRequestError(
        f"tokens of a part of type {part.kind[:40]} can't be counted here, only those of text",
        param="messages",
    )


def _of_tools(tools: Iterable[Json], count: Count) -> int:
    functions = [_function(tool) for tool in tools]
    if not functions:
        return 0
    return FUNCTIONS_END + sum(_of_function(function, count) for function in functions)


def _function(tool: Json) -> Mapping[str, Json]:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if isinstance(function, Mapping):
        return function
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    raise InvalidRequestError(
        f"tokens of a tool of type {str(kind)[:40]} can't be counted here", param="tools"
    )


def _of_function(function: Mapping[str, Json], count: Count) -> int:
    told = f"{function.get('name') or ''}:{_sentence(function)}"
    return PER_FUNCTION + count(told) + _of_properties(function.get("parameters"), count)


def _of_properties(schema: Json, count: Count) -> int:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or not properties:
        return 0
    return PER_PROPERTIES + sum(
        _of_property(name, value, count) for name, value in properties.items()
    )


def _of_property(name: str, schema: Json, count: Count) -> int:
    if not isinstance(schema, Mapping):
        return PER_PROPERTY + count(name)
    kind = schema.get("type")
    told = kind if isinstance(kind, str) else dump(kind).decode() if kind else ""
    tokens = PER_PROPERTY + count(f"{name}:{told}:{_sentence(schema)}")
    values = schema.get("enum")
    if isinstance(values, list) and values:
        tokens += PER_ENUM
        tokens += sum(PER_ENUM_ITEM + count(_spelled(value)) for value in values)
    return tokens + _of_properties(schema, count) + _of_properties(schema.get("items"), count)


def _spelled(value: Json) -> str:
    return value if isinstance(value, str) else dump(value).decode()


def _sentence(described: Mapping[str, Json]) -> str:
    text = described.get("description")
    return text.removesuffix(".") if isinstance(text, str) else ""

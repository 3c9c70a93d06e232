"""The turns of an Anthropic conversation, read into messages.

A user's turn is cut where tools answer and an assistant's turn where words follow a call,
for a domain message holds one or the other; written again, neighbours of one role become
one turn, as Anthropic itself joins them. So no block changes its place.

What has no word in the domain (thinking, documents, citations, what Anthropic's own tools
did) stays an `Attachment` in Anthropic's words. A block of plain text is `Text`; one with a
field beside it is kept whole. An image is the domain's `image_url` where that can be
undone exactly.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.domain import NOTHING, Attachment, Json, Message, Part, Role, Text, ToolCall
from sidecar.wire.body import MalformedError, dump

DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.ASCII | re.DOTALL)
"""An image that came along: its media type and its base64."""

IN_TURN: Final = "anthropic_turn"
"""Marks, in `extra`, a system message that stands among the turns and not above them."""

_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_NULL_IS_ABSENT: Final = frozenset(("cache_control", "citations", "is_error"))
"""What an SDK's dump holds as null when there was none."""

_FOREIGN: Final = frozenset(("image_url", "refusal", "input_audio", "file"))
"""OpenAI's parts: taken for Anthropic's they would come out as something else."""


def read_system(value: Json) -> tuple[Message, ...]:
    """The system prompt, a string or blocks of text, as one message."""
    if value is None or value == []:
        return ()
    if type(value) is str:
        return (Message(Role.SYSTEM, (Text(value),)),)
    if type(value) is not list or not all(_is_text(raw) for raw in value):
        raise MalformedError("a string or a list of text blocks", "system")
    return (Message(Role.SYSTEM, _read_parts(value, "system")),)


def read_turns(value: Json) -> tuple[Message, ...]:
    """The messages of a conversation."""
    if type(value) is not list or not value:
        raise MalformedError("a list of at least one message", "messages")
    messages: list[Message] = []
    for index, raw in enumerate(value):
        try:
            messages += _read_turn(raw)
        except MalformedError as error:
            raise error.within(f"messages[{index}]") from None
    return tuple(messages)


def without_nulls(raw: dict[str, Json]) -> dict[str, Json]:
    """A block without the fields that say nothing."""
    return {k: v for k, v in raw.items() if not (v is None and k in _NULL_IS_ABSENT)}


def _is_text(raw: Json) -> bool:
    return type(raw) is dict and raw.get("type") == "text"


def _read_turn(raw: Json) -> list[Message]:
    if type(raw) is not dict:
        raise MalformedError("an object")
    role = _ROLES.get(raw["role"]) if type(raw.get("role")) is str else None
    if role is None:
        raise MalformedError(f"one of {', '.join(_ROLES)}", "role")
    content, rest = raw.get("content"), raw.keys() - {"role", "content"}
    if rest and role is not Role.SYSTEM:
        raise MalformedError("left out: a message holds role and content", min(rest))
    extra = {**{k: raw[k] for k in rest}, IN_TURN: True} if role is Role.SYSTEM else NOTHING
    if type(content) is str:
        return [Message(role, (Text(content),), extra=extra)]
    if content is None and rest:  # what it says stands beside its content
        return [Message(role, extra=extra)]
    if type(content) is not list or not (content or role is Role.ASSISTANT):
        raise MalformedError("a string or a list of at least one block", "content")
    if role is Role.SYSTEM:
        return [Message(role, _read_parts(content, "content"), extra=extra)]
    return _read_user(content) if role is Role.USER else _read_assistant(content)


def _read_user(blocks: list[Json]) -> list[Message]:
    messages: list[Message] = []
    parts: list[Part] = []
    for index, raw in enumerate(blocks):
        place = f"content[{index}]"
        if _kind(raw, place) != "tool_result":
            parts.append(_read_part(raw, place))
            continue
        if parts:
            messages.append(Message(Role.USER, tuple(parts)))
            parts = []
        messages.append(_read_result(raw, place))
    return [*messages, Message(Role.USER, tuple(parts))] if parts else messages


def _read_assistant(blocks: list[Json]) -> list[Message]:
    messages: list[Message] = []
    parts: list[Part] = []
    calls: list[ToolCall] = []
    for index, raw in enumerate(blocks):
        place = f"content[{index}]"
        if _kind(raw, place) == "tool_use":
            calls.append(read_tool_use(raw, place))
            continue
        if calls:
            messages.append(Message(Role.ASSISTANT, tuple(parts), tuple(calls)))
            parts, calls = [], []
        parts.append(_read_part(raw, place))
    return [*messages, Message(Role.ASSISTANT, tuple(parts), tuple(calls))]


def read_tool_use(raw: dict[str, Json], place: str) -> ToolCall:
    """A call. Fields that no type names are its `extra`."""
    for name in ("id", "name"):
        if type(raw.get(name)) is not str or not raw[name]:
            raise MalformedError("a non-empty string", f"{place}.{name}")
    if type(raw.get("input")) is not dict:
        raise MalformedError("an object", f"{place}.input")
    known = ("type", "id", "name", "input")
    extra = {key: value for key, value in without_nulls(raw).items() if key not in known}
    arguments = dump(raw["input"]).decode()
    return ToolCall(raw["id"], raw["name"], arguments, extra=extra or NOTHING)


def _read_result(raw: dict[str, Json], place: str) -> Message:
    call_id = raw.get("tool_use_id")
    if type(call_id) is not str or not call_id:
        raise MalformedError("a non-empty string", f"{place}.tool_use_id")
    if type(raw.get("is_error")) not in (bool, type(None)):
        raise MalformedError("true or false", f"{place}.is_error")
    known = ("type", "tool_use_id", "content")
    extra = {key: value for key, value in without_nulls(raw).items() if key not in known}
    content = _read_result_content(raw.get("content"), f"{place}.content")
    return Message(Role.TOOL, content, tool_call_id=call_id, extra=extra or NOTHING)


def _read_result_content(value: Json, place: str) -> tuple[Part, ...]:
    if value is None:
        return ()
    if type(value) is str:
        return (Text(value),)
    if type(value) is not list:
        raise MalformedError("a string or a list of blocks", place)
    return _read_parts(value, place)


def _read_parts(blocks: list[Json], place: str) -> tuple[Part, ...]:
    return tuple(_read_part(raw, f"{place}[{index}]") for index, raw in enumerate(blocks))


def _kind(raw: Json, place: str) -> str:
    kind = raw.get("type") if type(raw) is dict else None
    if type(kind) is not str or not kind:
        raise MalformedError("an object with a type", place)
    if kind in _FOREIGN:
        raise MalformedError("one of Anthropic's block types", f"{place}.type")
    return kind


def _read_part(raw: Json, place: str) -> Part:
    kind = _kind(raw, place)
    block = without_nulls(raw)
    if kind == "image":
        return _read_image(block, place)
    if kind != "text":
        return Attachment(kind, block)
    if type(block.get("text")) is not str:
        raise MalformedError("a string", f"{place}.text")
    return Text(block["text"]) if len(block) == 2 else Attachment(kind, block)


def _read_image(block: dict[str, Json], place: str) -> Attachment:
    source = block.get("source")
    if type(source) is not dict:
        raise MalformedError("an object", f"{place}.source")
    url = _url_of(source)
    if url is None or not block.keys() <= {"type", "source", "cache_control"}:
        return Attachment("image", block)
    beside = {key: value for key, value in block.items() if key == "cache_control"}
    return Attachment("image_url", {"type": "image_url", "image_url": {"url": url}, **beside})


def _url_of(source: dict[str, Json]) -> str | None:
    """The URL that tells the same, where the source can be made of it again."""
    if source.keys() == {"type", "url"} and source["type"] == "url":
        url = source["url"]
        return url if type(url) is str and url.startswith(("https://", "http://")) else None
    if source.keys() != {"type", "media_type", "data"} or source["type"] != "base64":
        return None
    if type(source["media_type"]) is not str or type(source["data"]) is not str:
        return None
    url = f"data:{source['media_type']};base64,{source['data']}"
    match = DATA_URL.fullmatch(url)
    return url if match and match.group(1) == source["media_type"] else None

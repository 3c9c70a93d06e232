"""The domain's messages as turns of an Anthropic conversation.

System messages, wherever they stand, become the system prompt; what tools answered stands
in the user's turn; neighbours of one role become one turn. An image is translated, any
other part of a foreign dialect is refused by its place, and so is a field that Anthropic
has no word for. A tool's `name` is left out: its call tells it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sidecar.domain import Attachment, Dialect, Json, Message, Part, Role, Text, ToolCall
from sidecar.errors import InvalidRequestError
from sidecar.wire.anthropic_blocks import DATA_URL, IN_TURN
from sidecar.wire.anthropic_tools import unspeakable
from sidecar.wire.body import MalformedError, load_arguments

_Block = dict[str, Json]
_LEADING: Final = (Role.SYSTEM, Role.DEVELOPER)


def write_system(messages: Sequence[Message], dialect: Dialect) -> Json:
    """The system prompt: a string where it is one text, None where there is none."""
    blocks: list[_Block] = []
    for index, message in enumerate(messages):
        if _leads(message, dialect):
            _check(message, f"messages[{index}]", dialect)
            blocks += _blocks(message, f"messages[{index}]", dialect)
    for block in blocks:
        if block["type"] != "text":
            raise unspeakable(
                "messages", what=f"a system message with content of type {block['type']}"
            )
    return _shortest(blocks) if blocks else None


def write_turns(messages: Sequence[Message], dialect: Dialect) -> list[_Block]:
    """All other messages."""
    turns: list[tuple[str, list[_Block], _Block]] = []
    for role, blocks, beside in _spoken(messages, dialect):
        if turns and turns[-1][0] == role != "system":
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks, beside))
    return [_turn(*turn) for turn in turns]


def _turn(role: str, blocks: list[_Block], beside: _Block) -> _Block:
    """A turn that says all beside its content has none."""
    content = {} if beside and not blocks else {"content": _shortest(blocks)}
    return {"role": role, **content, **beside}


def _spoken(
    messages: Sequence[Message], dialect: Dialect
) -> Iterator[tuple[str, list[_Block], _Block]]:
    """Who speaks, the blocks, and what a system message among the turns holds beside them."""
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        if _leads(message, dialect):
            continue
        _check(message, place, dialect)
        blocks = _blocks(message, place, dialect)
        if message.role is Role.TOOL:
            beside = dict(message.extra) if dialect is Dialect.ANTHROPIC else {}
            yield "user", [_result(message, blocks, place) | beside], {}
        elif message.role is Role.ASSISTANT:
            calls = [
                _tool_use(call, f"{place}.tool_calls[{at}]", dialect)
                for at, call in enumerate(message.tool_calls)
            ]
            yield "assistant", blocks + calls, {}
        elif message.role in _LEADING:
            beside = {name: told for name, told in message.extra.items() if name != IN_TURN}
            yield "system", blocks, beside
        else:
            yield "user", blocks, {}


def _leads(message: Message, dialect: Dialect) -> bool:
    """Whether it is part of the system prompt: all are, but those an Anthropic client placed."""
    placed = dialect is Dialect.ANTHROPIC and message.extra.get(IN_TURN) is True
    return message.role in _LEADING and not placed


def _check(message: Message, place: str, dialect: Dialect) -> None:
    """Refuse what a message holds beside its content and Anthropic has no word for."""
    if dialect is Dialect.ANTHROPIC:
        return
    if message.role is Role.FUNCTION:
        raise unspeakable(f"{place}.role")
    if message.name is not None and message.role is not Role.TOOL:
        raise unspeakable(f"{place}.name")
    for name, value in message.extra.items():
        if value not in (None, "", [], {}):
            raise unspeakable(f"{place}.{name}")


def _blocks(message: Message, place: str, dialect: Dialect) -> list[_Block]:
    parts = message.content
    if dialect is not Dialect.ANTHROPIC:
        if message.refusal:
            parts = (*parts, Text(message.refusal))
        # An empty text says nothing, and Anthropic refuses a block of it.
        parts = tuple(part for part in parts if part != Text("")) or parts[:1]
        if message.tool_calls and parts == (Text(""),):
            parts = ()
    return [_write_part(part, f"{place}.content[{i}]", dialect) for i, part in enumerate(parts)]


def _shortest(blocks: list[_Block]) -> Json:
    """A lone plain text as a string, as most clients write it."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks


def _result(message: Message, blocks: list[_Block], place: str) -> _Block:
    if not message.tool_call_id:
        raise InvalidRequestError(
            f"{place}.tool_call_id must name the call that this answers",
            param=f"{place}.tool_call_id",
        )
    raw: _Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    if blocks:
        raw["content"] = _shortest(blocks)
    return raw


def _tool_use(call: ToolCall, place: str, dialect: Dialect) -> _Block:
    if call.kind != "function":
        raise unspeakable(f"{place}.type")
    raw: _Block = {
        "type": "tool_use",
        "id": call.id,
        "name": call.name,
        "input": _arguments(call, place),
    }
    if dialect is Dialect.ANTHROPIC:
        return raw | dict(call.extra)
    said = {name: value for name, value in call.extra.items() if value is not None}
    for name in said.keys() - {"cache_control"}:
        raise unspeakable(f"{place}.{name}")
    return raw | said


def _arguments(call: ToolCall, place: str) -> Json:
    try:
        return load_arguments(call.arguments)
    except MalformedError as error:
        param = f"{place}.function.arguments"
        raise InvalidRequestError(f"{param} must be {error.expected}", param=param) from None


def _write_part(part: Part, place: str, dialect: Dialect) -> _Block:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.kind == "image_url":
        return _image(part.raw, place, dialect)
    if dialect is Dialect.ANTHROPIC:
        return dict(part.raw)
    return _foreign(part, place)


def _foreign(part: Attachment, place: str) -> _Block:
    """A part in OpenAI's words: a text with something beside it, or an earlier refusal."""
    text = part.raw.get(part.kind)
    if part.kind not in ("text", "refusal") or type(text) is not str:
        raise unspeakable(f"{place}.type", what=f"{place} of type {part.kind}")
    rest = {k: v for k, v in part.raw.items() if k not in ("type", part.kind) and v is not None}
    for name in rest.keys() - {"cache_control"}:
        raise unspeakable(f"{place}.{name}")
    return {"type": "text", "text": text, **rest}


def _image(raw: Mapping[str, Json], place: str, dialect: Dialect) -> _Block:
    image = raw.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    if type(url) is not str:
        param = f"{place}.image_url.url"
        raise InvalidRequestError(f"{param} must be a string", param=param)
    if isinstance(image, Mapping):
        _check_detail(image, place)
    block: _Block = {"type": "image", "source": _source(url, place)}
    for name, value in raw.items():
        if name == "cache_control":
            block[name] = value
        elif name not in ("type", "image_url") and value is not None:
            raise unspeakable(f"{place}.{name}")
    return block


def _check_detail(image: Mapping[str, Json], place: str) -> None:
    for name, value in image.items():
        if name != "url" and value not in (None, "auto"):
            raise unspeakable(f"{place}.image_url.{name}")


def _source(url: str, place: str) -> _Block:
    if match := DATA_URL.fullmatch(url):
        return {"type": "base64", "media_type": match.group(1), "data": match.group(2)}
    if url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    raise unspeakable(f"{place}.image_url.url")

"""OpenAI Chat Completions requests: read from clients, written for providers.

Reading checks every field that this version knows and names the place that is wrong;
an explicit null of a known field is the same as its absence, which is how SDKs send
what was not set. Writing is our own serialisation: a provider never sees the client's
bytes. The invariant: what was written reads back as the same request, except that a
stream always asks the provider for its usage.

Refused for now: `prompt` and `context`, by name, rather than passed on to a provider
that would ignore them.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain import (
    NOTHING,
    Attachment,
    ChatRequest,
    Dialect,
    Json,
    Message,
    Part,
    Role,
    Text,
)
from sidecar.errors import InvalidRequestError
from sidecar.native import require_translatable
from sidecar.wire.anthropic_to_openai import in_openai_words
from sidecar.wire.body import MalformedError, dump, load_object
from sidecar.wire.openai_fields import (
    ENVELOPE,
    FIELDS,
    LABELS,
    PARAMETERS,
    RESERVED,
    check_reserved,
)
from sidecar.wire.openai_tools import read_tool_calls, write_tool_call

_ROLES: Final = {role.value: role for role in Role}
_MAY_SAY_NOTHING: Final = (Role.ASSISTANT, Role.FUNCTION)
"""Roles whose content may be null; of all others it is a string or parts."""

_MESSAGE_FIELDS: Final = frozenset(
    ("role", "content", "tool_calls", "tool_call_id", "name", "refusal")
)
_NULL_IS_ABSENT: Final = frozenset(("audio", "function_call", "annotations", "reasoning_content"))
"""What an SDK's dump of an earlier answer holds as null when there was none."""


def parse_chat_request(body: bytes) -> ChatRequest:
    """The request in `body`, or `InvalidRequestError` naming what is wrong."""
    try:
        return _read_request(load_object(body))
    except MalformedError as error:
        raise InvalidRequestError(str(error), param=error.path or None) from None


def build_chat_request(request: ChatRequest, model: str) -> bytes:
    """The body that asks a provider's `model`.

    Raises `InvalidRequestError` naming what was said in Anthropic's words and can't be here.
    """
    require_translatable(request)
    if request.dialect is Dialect.ANTHROPIC:
        request = in_openai_words(request, model)
    raw: dict[str, Json] = {
        "model": model,
        "messages": [_write_message(message) for message in request.messages],
    }
    if request.tools:
        raw["tools"] = request.tools
    for fields in (request.parameters, request.labels, request.unknown):
        if fields:
            raw.update(fields)
    if request.stream:
        raw["stream"] = True
        # Always: a stream without it can't be accounted for. The reply is rid of it again
        # where the client did not ask.
        raw["stream_options"] = {**request.stream_options, "include_usage": True}
    return dump(raw)


def _read_request(raw: dict[str, Json]) -> ChatRequest:
    check_reserved(raw)
    envelope, parameters, labels, unknown = _sorted(raw)
    for name in ("model", "messages"):
        if name not in envelope:
            raise MalformedError(FIELDS[name].expected, name)
    include_usage, options = _read_stream_options(envelope.get("stream_options"))
    return ChatRequest(
        envelope["model"],
        _read_messages(envelope["messages"]),
        tuple(envelope.get("tools", ())),
        parameters or NOTHING,
        unknown or NOTHING,
        labels or NOTHING,
        envelope.get("stream", False),
        include_usage,
        options or NOTHING,
    )


_Fields = dict[str, Json]


def _sorted(raw: _Fields) -> tuple[_Fields, _Fields, _Fields, _Fields]:
    """Envelope, parameters, labels and unknown fields; the known ones checked."""
    groups: dict[str, _Fields] = {ENVELOPE: {}, PARAMETERS: {}, LABELS: {}}
    unknown: _Fields = {}
    for name, value in raw.items():
        field = FIELDS.get(name)
        if field is None:
            if name not in RESERVED:
                unknown[name] = value
        elif value is not None:
            if not field.is_valid(value):
                raise MalformedError(field.expected, name)
            groups[field.group][name] = value
    return groups[ENVELOPE], groups[PARAMETERS], groups[LABELS], unknown


def _read_stream_options(options: Json) -> tuple[bool, _Fields]:
    """Whether usage was asked for, and the other options."""
    if not options:
        return False, {}
    rest = {key: value for key, value in options.items() if key != "include_usage"}
    include_usage = options.get("include_usage")
    if include_usage is not None and type(include_usage) is not bool:
        raise MalformedError("true or false", "stream_options.include_usage")
    return bool(include_usage), rest


def _read_messages(value: list[Json]) -> tuple[Message, ...]:
    messages: list[Message] = []
    for raw in value:
        try:
            messages.append(_read_message(raw))
        except MalformedError as error:
            raise error.within(f"messages[{len(messages)}]") from None
    return tuple(messages)


def _read_message(raw: Json) -> Message:
    if type(raw) is not dict:
        raise MalformedError("an object")
    role = _read_role(raw.get("role"))
    content = _read_content(raw.get("content"), role)
    if len(raw) == 2 and "content" in raw:
        return Message(role, content)
    return Message(
        role,
        content,
        read_tool_calls(raw.get("tool_calls"), require_id=True),
        _optional_string(raw, "tool_call_id"),
        _optional_string(raw, "name"),
        _optional_string(raw, "refusal"),
        _rest_of_message(raw),
    )


def _read_role(value: Json) -> Role:
    role = _ROLES.get(value) if type(value) is str else None
    if role is None:
        raise MalformedError(f"one of {', '.join(_ROLES)}", "role")
    return role


def _read_content(value: Json, role: Role) -> tuple[Part, ...]:
    if type(value) is str:
        return (Text(value),)
    if value and type(value) is list:
        return tuple([_read_part(index, raw) for index, raw in enumerate(value)])
    if role in _MAY_SAY_NOTHING:
        if value is None or value == []:
            return ()
        raise MalformedError("a string, a list of parts or null", "content")
    raise MalformedError("a string or a list of at least one part", "content")


def _read_part(index: int, raw: Json) -> Part:
    kind = raw.get("type") if type(raw) is dict else None
    if type(kind) is not str:
        raise MalformedError("an object with a type", f"content[{index}]")
    if kind != "text":
        return Attachment(kind, raw)
    text = raw.get("text")
    if type(text) is not str:
        raise MalformedError("a string", f"content[{index}].text")
    # A text with fields beside it, such as cache_control, is kept whole.
    return Text(text) if len(raw) == 2 else Attachment(kind, raw)


def _optional_string(raw: _Fields, name: str) -> str | None:
    value = raw.get(name)
    if value is not None and type(value) is not str:
        raise MalformedError("a string", name)
    return value


def _rest_of_message(raw: _Fields) -> _Fields:
    return {
        key: value
        for key, value in raw.items()
        if key not in _MESSAGE_FIELDS and not (value is None and key in _NULL_IS_ABSENT)
    }


def _write_message(message: Message) -> _Fields:
    raw: _Fields = {"role": message.role.value, "content": _write_content(message)}
    if message.name is not None:
        raw["name"] = message.name
    if message.tool_calls:
        raw["tool_calls"] = [write_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        raw["tool_call_id"] = message.tool_call_id
    if message.refusal is not None:
        raw["refusal"] = message.refusal
    if message.extra:
        raw.update(message.extra)
    return raw


def _write_content(message: Message) -> Json:
    """A lone text as a plain string: some compatible servers accept nothing else."""
    content = message.content
    if not content:
        return None if message.role in _MAY_SAY_NOTHING else ""
    if len(content) == 1 and isinstance(content[0], Text):
        return content[0].text
    return [_write_part(part) for part in content]


def _write_part(part: Part) -> Json:
    return {"type": "text", "text": part.text} if isinstance(part, Text) else part.raw

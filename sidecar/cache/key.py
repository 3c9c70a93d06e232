"""What makes two requests the same, and what they must share before meaning is compared.

The *scope* is everything that changes an answer, but the question; its digest is a hard
partition in every tier, so two scopes never see each other's entries. The *key* is the
digest of scope and question: requests with one key are the same request.

Keys are canonical: field order, white space in JSON, the Unicode form (NFC) and 0 against
0.0 make no difference. They are versioned: a change to what goes in changes `VERSION`,
and then no older entry is found.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from operator import attrgetter

import orjson

from sidecar.domain import Attachment, Call, Json, Message, Role, SharingScope, Text, ToolCall

VERSION = 2
_LEADING = (Role.SYSTEM, Role.DEVELOPER)
# Beyond this a float that is whole need not be the number that was written.
_EXACT_WHOLE = 2.0**53


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything that changes an answer, but the question. What is not fed yet is empty."""

    sharing: str
    tenant: str
    user: str
    client_key_digest: str
    model: str
    variant: str
    dialect: str
    prompt: str
    context_digest: str
    system: Json
    turns: Json
    tools: Json
    parameters: Json
    unknown: Json

    def record(self) -> dict[str, Json]:
        """By field name, in canonical form."""
        values = zip(_FIELDS, _values(self), strict=True)
        return {name: canonical(value) if value else value for name, value in values}

    def digest(self) -> bytes:
        """32 bytes, equal exactly when two scopes are."""
        return _digest({"version": VERSION, "scope": self.record()})


_FIELDS = tuple(item.name for item in fields(Scope))
_values = attrgetter(*_FIELDS)


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Where a request's answer lives.

    `question` is what is compared by meaning: the text of the last message where that
    is a user's and holds text alone, else None.
    """

    scope: bytes
    exact: bytes
    question: str | None


def cache_key(
    call: Call,
    *,
    sharing: SharingScope,
    variant: str,
    prompt: str = "",
    context_digest: str = "",
) -> CacheKey:
    """The key of a call, under the sharing that policy allows it."""
    *earlier, last = call.request.messages
    asks = last.role is Role.USER and bool(last.content) and not last.has_attachment
    texts = last.texts if asks else ()
    leading = _count_leading(call.request.messages)
    turns = [_turn(message) for message in (earlier if asks else (*earlier, last))]
    if asks and (frame := _turn(last, with_text=False)):
        turns.append(frame)
    scope = Scope(
        sharing=sharing.value,
        tenant="" if sharing is SharingScope.SHARED else call.caller.tenant,
        user=call.caller.user if sharing is SharingScope.USER else "",
        client_key_digest=call.caller.client_key_digest,
        model=call.request.model,
        variant=variant,
        dialect=call.request.dialect.value,
        prompt=prompt,
        context_digest=context_digest,
        system=turns[:leading],
        turns=turns[leading:],
        tools=call.request.tools or [],
        parameters=call.request.parameters or {},
        unknown=call.request.unknown or {},
    ).digest()
    exact = _digest({"version": VERSION, "scope": scope.hex(), "question": canonical(list(texts))})
    return CacheKey(scope, exact, "\n".join(texts) if asks else None)


def canonical(value: Json) -> Json:
    """The one form of all values that mean the same."""
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT_WHOLE else value
    if isinstance(value, (dict, Mapping)):  # dict first: the answer of an ABC takes longer
        return _canonical_object(value)
    return value


def _canonical_object(value: Mapping[str, Json]) -> Json:
    names = {name: canonical(name) for name in value}
    if len(set(names.values())) < len(names):
        # Two fields whose names differ by Unicode form alone: both count, as they are.
        names = {name: name for name in value}
    return {names[name]: canonical(item) for name, item in value.items()}


def _digest(record: dict[str, Json]) -> bytes:
    return sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).digest()


def _count_leading(messages: tuple[Message, ...]) -> int:
    count = 0
    for message in messages:
        if message.role not in _LEADING:
            break
        count += 1
    return count


def _turn(message: Message, *, with_text: bool = True) -> dict[str, Json]:
    """A message as a record; without its text it is empty for a plain user's question."""
    record: dict[str, Json] = {}
    if with_text:
        record = {"role": message.role.value, "content": [_part(p) for p in message.content]}
    if message.tool_calls:
        record["tool_calls"] = [_tool_call(tool_call) for tool_call in message.tool_calls]
    for name in ("tool_call_id", "name", "refusal"):
        if (value := getattr(message, name)) is not None:
            record[name] = value
    if message.extra:
        record["extra"] = dict(message.extra)
    return record


def _part(part: Text | Attachment) -> Json:
    return part.text if isinstance(part, Text) else {"kind": part.kind, "raw": dict(part.raw)}


def _tool_call(tool_call: ToolCall) -> Json:
    record = {
        "id": tool_call.id,
        "kind": tool_call.kind,
        "name": tool_call.name,
        "arguments": tool_call.arguments,
    }
    return record | {"extra": dict(tool_call.extra)} if tool_call.extra else record

"""Tool calls as OpenAI writes them, in requests, replies and the pieces of a stream.

A call of kind `function` or `custom` has its name and its text one level down; fields
beside them are kept in `extra`, those one level down under the kind's own name, so that
nothing is lost on the way through. Of a kind unknown here everything is in `extra`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

import orjson

from sidecar.domain import NOTHING, Json, ToolCall, ToolCallDelta
from sidecar.wire.body import MalformedError, require_object

C = TypeVar("C")

_TEXT_OF = {"function": "arguments", "custom": "input"}
"""Where each kind keeps the text that the model wrote."""

_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9_-]+")


def read_tool_calls(value: Json, *, require_id: bool = False) -> tuple[ToolCall, ...]:
    """The calls of a whole turn; null and an empty list are none.

    A request must name each call, for a later turn answers it by its id; a reply of a
    careless server may leave the id out.
    """
    read = _read_named_call if require_id else _read_call
    return _read_each(read, value)


def read_tool_deltas(value: Json) -> tuple[ToolCallDelta, ...]:
    """The pieces of calls in one event. A piece without an index has its place in the list."""
    return _read_each(_read_delta, value)


def with_ids(calls: tuple[ToolCall, ...], answer_id: str) -> tuple[ToolCall, ...]:
    """The calls, each with an id: a client answers by it, and some servers give none."""
    if all(call.id for call in calls):
        return calls
    return tuple(
        call if call.id or not call.name else replace(call, id=_made_up(answer_id, place))
        for place, call in enumerate(calls)
    )


def with_delta_ids(pieces: tuple[ToolCallDelta, ...], answer_id: str) -> tuple[ToolCallDelta, ...]:
    """The same of the pieces in an event: the first of a call, which names it, has its id."""
    return tuple(
        piece if piece.id or not piece.name else replace(piece, id=_made_up(answer_id, piece.index))
        for piece in pieces
    )


def _made_up(answer_id: str, place: int) -> str:
    """The same for a call in a whole answer and in a stream, in signs that every vendor takes."""
    return f"call_{_UNPLAIN.sub('', answer_id)}_{place}"


def write_tool_call(call: ToolCall) -> dict[str, Json]:
    """A whole call."""
    raw: dict[str, Json] = {"id": call.id, "type": call.kind}
    if field := _TEXT_OF.get(call.kind):
        raw[call.kind] = {"name": call.name, field: call.arguments}
    return _with_extra(raw, call.extra) if call.extra else raw


def write_tool_delta(piece: ToolCallDelta) -> dict[str, Json]:
    """A piece of a call: without id, type and name where they came before."""
    raw: dict[str, Json] = {"index": piece.index}
    if piece.id is not None:
        raw["id"] = piece.id
    if piece.kind is not None:
        raw["type"] = piece.kind
    kind = piece.kind or "function"
    if field := _TEXT_OF.get(kind):
        raw[kind] = {field: piece.arguments}
        if piece.name is not None:
            raw[kind] = {"name": piece.name, field: piece.arguments}
    return _with_extra(raw, piece.extra) if piece.extra else raw


def _read_each(read: Callable[[int, dict[str, Json]], C], value: Json) -> tuple[C, ...]:
    if value is None:
        return ()
    if type(value) is not list:
        raise MalformedError("a list of objects", "tool_calls")
    calls: list[C] = []
    for place, raw in enumerate(value):
        try:
            calls.append(read(place, require_object(raw)))
        except MalformedError as error:
            raise error.within(f"tool_calls[{place}]") from None
    return tuple(calls)


def _read_named_call(place: int, raw: dict[str, Json]) -> ToolCall:
    if not raw.get("id"):
        raise MalformedError("a non-empty string", "id")
    return _read_call(place, raw)


def _read_call(_: int, raw: dict[str, Json]) -> ToolCall:
    kind = _word(raw, "type") or "function"
    name, text, extra = _read_inner(raw, kind)
    return ToolCall(_word(raw, "id") or "", name or "", text, kind, extra)


def _read_delta(place: int, raw: dict[str, Json]) -> ToolCallDelta:
    # Only the first piece tells its type, but every piece of a custom call is in `custom`.
    kind = _word(raw, "type") or ("custom" if "custom" in raw else None)
    name, text, extra = _read_inner(raw, kind or "function")
    index = raw.get("index")
    if index is None:
        index = place
    if type(index) is not int or index < 0:
        raise MalformedError("an integer of 0 or more", "index")
    if "index" in extra:
        extra = {key: value for key, value in extra.items() if key != "index"} or NOTHING
    return ToolCallDelta(index, _word(raw, "id"), name, text, kind, extra)


def _read_inner(raw: dict[str, Json], kind: str) -> tuple[str | None, str, Mapping[str, Json]]:
    """Name, text, and whatever else the call holds."""
    extra = {key: value for key, value in raw.items() if key not in ("id", "type", kind)}
    if kind not in _TEXT_OF:
        if kind in raw:
            extra[kind] = raw[kind]
        return None, "", extra or NOTHING
    inner = require_object({} if raw.get(kind) is None else raw[kind], kind)
    field = _TEXT_OF[kind]
    rest = {key: value for key, value in inner.items() if key not in ("name", field)}
    if rest:
        extra[kind] = rest
    return _word(inner, "name", kind), _text(inner.get(field), f"{kind}.{field}"), extra or NOTHING


def _word(raw: dict[str, Json], key: str, parent: str = "") -> str | None:
    value = raw.get(key)
    if value is not None and type(value) is not str:
        raise MalformedError("a string", f"{parent}.{key}" if parent else key)
    return value


def _text(value: Json, path: str) -> str:
    """What the model wrote. Some servers send the object where its JSON text belongs."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if type(value) is dict:
        return orjson.dumps(value).decode()
    raise MalformedError("a string", path)


def _with_extra(raw: dict[str, Json], extra: Mapping[str, Json]) -> dict[str, Json]:
    for key, value in extra.items():
        inner = raw.get(key)
        if type(inner) is dict and isinstance(value, Mapping):
            raw[key] = {**inner, **value}
        else:
            raw[key] = value
    return raw

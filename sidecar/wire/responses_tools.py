"""Tools, their choice and the form of the answer: of an OpenAI Responses request, in chat words.

Responses names a function's fields beside its type, chat one level down. Tools that run
at OpenAI (web_search, mcp, code_interpreter, …) are refused by name: nobody behind a
chat provider would run them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain import Json
from sidecar.wire.body import MalformedError
from sidecar.wire.responses_fields import (
    ANY,
    FLAG,
    LIST,
    NAME,
    OBJECT,
    STRING,
    TEXT,
    Rule,
    at,
    kind_of,
    one_of,
    read_fields,
)

_CHOICES: Final = ("none", "auto", "required")
_TOOLS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "function": {
        "type": ANY,
        "name": NAME,
        "description": STRING,
        "parameters": OBJECT,
        "strict": FLAG,
    },
    "custom": {"type": ANY, "name": NAME, "description": STRING, "format": OBJECT},
}
_NAMED: Final = {"type": ANY, "name": NAME}
_ALLOWED: Final = {
    "type": ANY,
    "mode": one_of("auto", "required", required=True),
    "tools": LIST._replace(required=True),
}
_GRAMMAR: Final = {
    "type": ANY,
    "syntax": one_of("lark", "regex", required=True),
    "definition": TEXT,
}
_FORMATS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "text": {"type": ANY},
    "json_object": {"type": ANY},
    "json_schema": {
        "type": ANY,
        "name": NAME,
        "schema": OBJECT._replace(required=True),
        "description": STRING,
        "strict": FLAG,
    },
}


def read_tools(value: list[Json]) -> tuple[Json, ...]:
    """The tools on offer."""
    tools: list[Json] = []
    for place, raw in enumerate(value):
        with at(f"tools[{place}]"):
            tools.append(_read_tool(raw))
    return tuple(tools)


def read_tool_choice(value: Json) -> Json:
    """Which tool is to be called."""
    if type(value) is str:
        if value not in _CHOICES:
            raise MalformedError(f"one of {', '.join(_CHOICES)}, or an object", "tool_choice")
        return value
    with at("tool_choice"):
        return _read_allowed(value) if value.get("type") == "allowed_tools" else _read_named(value)


def read_format(value: Json) -> Json:
    """What the answer must look like; None where that is plain text, as it is anyway."""
    kind = kind_of(value, _FORMATS)
    said = read_fields(value, _FORMATS[kind])
    if kind == "text":
        return None
    return {"type": kind} if kind == "json_object" else _nested(kind, said)


def _read_tool(raw: Json) -> Json:
    kind = kind_of(raw, _TOOLS)
    # False is what is done anyway where chat has no word, such as `defer_loading`.
    rules = _TOOLS[kind]
    said = read_fields({k: v for k, v in raw.items() if v is not False or k in rules}, rules)
    if "format" in said:
        with at("format"):
            said["format"] = _read_input_format(said["format"])
    return _nested(kind, said)


def _read_input_format(raw: Json) -> Json:
    if raw.get("type") == "text":
        return read_fields(raw, {"type": ANY})
    if raw.get("type") != "grammar":
        raise MalformedError("text or grammar", "type")
    return _nested("grammar", read_fields(raw, _GRAMMAR))


def _read_allowed(raw: dict[str, Json]) -> Json:
    said = read_fields(raw, _ALLOWED)
    tools: list[Json] = []
    for place, tool in enumerate(said["tools"]):
        with at(f"tools[{place}]"):
            tools.append(_read_named(tool))
    return _nested("allowed_tools", {**said, "tools": tools})


def _read_named(raw: Json) -> Json:
    return _nested(kind_of(raw, _TOOLS), read_fields(raw, _NAMED))


def _nested(kind: str, said: dict[str, Json]) -> Json:
    """The same fields, where chat has them."""
    return {"type": kind, kind: {name: value for name, value in said.items() if name != "type"}}

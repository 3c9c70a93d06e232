"""Tools and the choice among them, from Anthropic's words to OpenAI's and back.

A tool that the client runs is OpenAI's function tool in the domain, with fields of
Anthropic's alone beside `function`. A tool that Anthropic runs itself (web search, code
execution) has a type of its own and is kept as it came; nobody else can run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain import Dialect, Json
from sidecar.errors import InvalidRequestError
from sidecar.wire.body import MalformedError

BETA_HEADER: Final = "anthropic-beta"
"""Names features to switch on; in a request, beside its unknown fields."""


_MOVED: Final = ("type", "name", "description", "input_schema", "strict")
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_WORDS: Final = {word: kind for kind, word in _CHOICES.items()}
_NO_ARGUMENTS: Final[dict[str, Json]] = {"type": "object", "properties": {}}


def unspeakable(
    param: str, *, what: str = "", whose: str = "Anthropic's Messages"
) -> InvalidRequestError:
    """What is raised where a provider's format has no word for `param`, or for `what` of it."""
    return InvalidRequestError(
        f"{what or param} can't be said in {whose}: leave it out or ask a model whose API has it",
        param=param,
    )


def read_tools(value: Json) -> tuple[Json, ...]:
    """Anthropic's tools in OpenAI's words, where they are the client's own."""
    if type(value) is not list:
        raise MalformedError("a list of objects", "tools")
    return tuple(_read_tool(raw, f"tools[{index}]") for index, raw in enumerate(value))


def read_tool_choice(value: Json) -> dict[str, Json]:
    """The parameters `tool_choice` and `parallel_tool_calls` that say the same."""
    if type(value) is not dict:
        raise MalformedError("an object", "tool_choice")
    kind, single = value.get("type"), value.get("disable_parallel_tool_use")
    known = {"type", "disable_parallel_tool_use"} | ({"name"} if kind == "tool" else set())
    for name in value.keys() - known:
        raise MalformedError("left out", f"tool_choice.{name}")
    if single is not None and type(single) is not bool:
        raise MalformedError("true or false", "tool_choice.disable_parallel_tool_use")
    beside = {} if single is None else {"parallel_tool_calls": not single}
    if kind == "tool":
        if type(value.get("name")) is not str or not value["name"]:
            raise MalformedError("a non-empty string", "tool_choice.name")
        return {"tool_choice": _function(value["name"]), **beside}
    if type(kind) is not str or kind not in _CHOICES:
        raise MalformedError("one of auto, any, tool, none", "tool_choice.type")
    return {"tool_choice": _CHOICES[kind], **beside}


def write_tools(tools: tuple[Json, ...], dialect: Dialect) -> list[Json]:
    """The domain's tools in Anthropic's words."""
    return [_write_tool(raw, f"tools[{place}]", dialect) for place, raw in enumerate(tools)]


def write_tool_choice(parameters: Mapping[str, Json]) -> dict[str, Json] | None:
    """Anthropic's `tool_choice`; None where nothing was said that differs from its default."""
    choice, parallel = parameters.get("tool_choice"), parameters.get("parallel_tool_calls")
    if choice is None:
        return None if parallel in (None, True) else _with_parallel({"type": "auto"}, parallel)
    if choice == "none":
        # Calls that are not made are not made side by side either, and Anthropic has no word.
        return {"type": "none"}
    return _with_parallel(_write_choice(choice), parallel)


def _with_parallel(raw: dict[str, Json], parallel: bool | None) -> dict[str, Json]:
    return raw if parallel is None else {**raw, "disable_parallel_tool_use": not parallel}


def _write_choice(choice: Json) -> dict[str, Json]:
    if type(choice) is str and choice in _WORDS:
        return {"type": _WORDS[choice]}
    function = choice.get("function") if type(choice) is dict else None
    name = function.get("name") if type(function) is dict else None
    if type(name) is str and name and choice == _function(name):
        return {"type": "tool", "name": name}
    raise unspeakable("tool_choice")


def _function(name: str) -> dict[str, Json]:
    return {"type": "function", "function": {"name": name}}


def _read_tool(raw: Json, place: str) -> dict[str, Json]:
    if type(raw) is not dict:
        raise MalformedError("an object", place)
    kind = raw.get("type")
    if kind is not None and kind != "custom":
        if type(kind) is not str or kind == "function":
            raise MalformedError("one of Anthropic's tool types", f"{place}.type")
        return raw
    _check_own(raw, place)
    function = {"name": raw["name"], "parameters": raw["input_schema"]}
    for name in ("description", "strict"):
        if raw.get(name) is not None:
            function[name] = raw[name]
    rest = {key: value for key, value in raw.items() if key not in _MOVED and value is not None}
    if "function" in rest:
        raise MalformedError("left out", f"{place}.function")
    return {"type": "function", "function": function, **rest}


def _check_own(raw: dict[str, Json], place: str) -> None:
    """Types of the fields that are moved."""
    if type(raw.get("name")) is not str or not raw["name"]:
        raise MalformedError("a non-empty string", f"{place}.name")
    if type(raw.get("input_schema")) is not dict:
        raise MalformedError("an object", f"{place}.input_schema")
    if type(raw.get("description")) not in (str, type(None)):
        raise MalformedError("a string", f"{place}.description")
    if type(raw.get("strict")) not in (bool, type(None)):
        raise MalformedError("true or false", f"{place}.strict")


def _write_tool(raw: Json, place: str, dialect: Dialect) -> dict[str, Json]:
    anthropic = dialect is Dialect.ANTHROPIC
    if raw.get("type") != "function":
        if not anthropic:
            raise unspeakable(f"{place}.type")
        return dict(raw)
    rest = {key: v for key, v in raw.items() if key not in ("type", "function") and v is not None}
    for name in rest:
        if not anthropic and name != "cache_control":
            raise unspeakable(f"{place}.{name}")
    return {**_write_function(raw.get("function"), f"{place}.function"), **rest}


def _write_function(function: Json, place: str) -> dict[str, Json]:
    if type(function) is not dict or type(function.get("name")) is not str:
        raise InvalidRequestError(f"{place}.name must be a string", param=f"{place}.name")
    tool: dict[str, Json] = {"name": function["name"], "input_schema": _NO_ARGUMENTS}
    for name, value in function.items():
        if value is None or name == "name":
            continue
        if name not in ("description", "parameters", "strict"):
            raise unspeakable(f"{place}.{name}")
        tool["input_schema" if name == "parameters" else name] = value
    return tool

"""An Anthropic Messages request, checked as Anthropic checks it, in the engine's words.

Pure. What Anthropic answers with status 400 is refused here too, in words like its own:
fields that it does not know, a missing `max_tokens`, a tool result without its call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from sidecar.providers.simulated.reading import RefusedError

_COUNTED = frozenset({
    "model", "messages", "system", "tools", "tool_choice", "thinking", "mcp_servers",
    "context_management", "output_config", "output_format", "cache_control",
})  # fmt: skip
_FIELDS = _COUNTED | {
    "max_tokens", "metadata", "stop_sequences", "stream", "temperature", "top_k", "top_p",
    "service_tier", "container", "inference_geo", "speed",
}  # fmt: skip
_FIELDS_OF_TOOL = frozenset({
    "type", "name", "description", "input_schema", "cache_control", "strict", "max_uses",
    "allowed_domains", "blocked_domains", "user_location", "defer_loading", "input_examples",
    "eager_input_streaming", "allowed_callers", "max_content_tokens", "citations",
    "display_height_px", "display_width_px", "display_number", "max_characters",
})  # fmt: skip
_FIELDS_OF_MESSAGE = frozenset(("role", "content"))


def check_version(headers: Mapping[str, str]) -> None:
    """Refuse a request without Anthropic's version header."""
    if not headers.get("anthropic-version"):
        raise RefusedError("anthropic-version: header is required")


def read_messages_request(raw: Mapping[str, Any], *, counts: bool) -> dict[str, Any]:
    """Check a request; what comes back is the same in OpenAI's words, as the engine reads them.

    `counts` is for a request whose tokens are only counted: it has no cap and no sampling.
    """
    _only(raw, _COUNTED if counts else _FIELDS, "")
    if not counts:
        _expect(_is_count(raw.get("max_tokens")), "max_tokens", "Field required, from 1")
        _check_temperature(raw.get("temperature"))
    messages = raw.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedError("messages: at least one message is required")
    request = {name: raw[name] for name in raw if name not in ("messages", "system", "tools")}
    request["messages"] = [*_system(raw.get("system")), *_turns(messages)]
    if raw.get("tools"):
        request["tools"] = [_tool(tool, index) for index, tool in enumerate(raw["tools"])]
        request["tool_choice"] = _tool_choice(raw.get("tool_choice"))
    return request


def _check_temperature(value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    _expect(value is None or (is_number and 0 <= value <= 1), "temperature", "range: 0..1")


def _system(system: Any) -> Iterator[dict[str, Any]]:
    if system is None:
        return
    _expect(isinstance(system, str | list), "system", "a string or a list of blocks")
    yield {"role": "system", "content": _text(system, "system")}


def _turns(messages: list[Any]) -> Iterator[dict[str, Any]]:
    """Each message as one or several of OpenAI's; tool results become messages of the tool."""
    callable_ids: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        _expect(isinstance(message, dict), where, "an object")
        _only(message, _FIELDS_OF_MESSAGE, f"{where}.")
        role = message.get("role")
        _expect(role in ("user", "assistant"), f"{where}.role", "'user' or 'assistant'")
        blocks = _blocks(message.get("content"), f"{where}.content")
        _check_results(blocks, callable_ids, where)
        callable_ids = {block["id"] for block in blocks if _is(block, "tool_use")}
        yield from _spoken(role, blocks, where)


def _blocks(content: Any, where: str) -> list[Any]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    _expect(isinstance(content, list), where, "a string or a list of blocks")
    for index, block in enumerate(content):
        _check_block(block, f"{where}.{index}")
    return list(content)


def _check_block(block: Any, where: str) -> None:
    _expect(isinstance(block, dict) and isinstance(block.get("type"), str), where, "a block")
    match block["type"]:
        case "text":
            _expect(isinstance(block.get("text"), str), f"{where}.text", "a string")
            _expect(bool(block["text"]), where, "text content blocks must be non-empty")
        case "tool_use":
            for name, kind in (("id", str), ("name", str), ("input", dict)):
                _expect(isinstance(block.get(name), kind), f"{where}.{name}", "Field required")
        case "tool_result":
            _expect(isinstance(block.get("tool_use_id"), str), f"{where}.tool_use_id", "required")


def _check_results(blocks: list[Any], callable_ids: set[str], where: str) -> None:
    """Every call is answered by the next message, and nothing is answered that wasn't called."""
    answered = {block["tool_use_id"] for block in blocks if _is(block, "tool_result")}
    for unknown in sorted(answered - callable_ids):
        raise RefusedError(
            f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {unknown}"
        )
    for missing in sorted(callable_ids - answered):
        raise RefusedError(
            f"{where}: `tool_use` ids were found without `tool_result` blocks"
            f" immediately after: {missing}"
        )


def _spoken(role: str, blocks: list[Any], where: str) -> Iterator[dict[str, Any]]:
    # The engine looks for a tool's result in the last message, as OpenAI has it.
    said = [block for block in blocks if not _is(block, "tool_result")]
    if said:
        yield {"role": role, "content": _text(said, where), "blocks": _unspoken(said)}
    for block in blocks:
        if _is(block, "tool_result"):
            yield {"role": "tool", "content": _text(block.get("content") or "", where)}


def _unspoken(blocks: list[Any]) -> list[Any]:
    """What is no text: it takes part in the fingerprint, so that two images differ."""
    return [block for block in blocks if not _is(block, "text")]


def _text(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    _expect(isinstance(content, list), where, "a string or a list of blocks")
    texts = (block.get("text") for block in content if isinstance(block, dict))
    return " ".join(text for text in texts if isinstance(text, str))


def _tool(tool: Any, index: int) -> dict[str, Any]:
    where = f"tools.{index}"
    _expect(isinstance(tool, dict) and isinstance(tool.get("name"), str), f"{where}.name", "text")
    _only(tool, _FIELDS_OF_TOOL, f"{where}.")
    if tool.get("type", "custom") == "custom":
        _expect(isinstance(tool.get("input_schema"), dict), f"{where}.input_schema", "an object")
    function = {"name": tool["name"], "parameters": tool.get("input_schema") or {}}
    return {"type": "function", "function": function | _described(tool)}


def _described(tool: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": tool["description"]} if tool.get("description") else {}


def _tool_choice(choice: Any) -> Any:
    match choice:
        case None | {"type": "auto"}:
            return "auto"
        case {"type": "any"}:
            return "required"
        case {"type": "none"}:
            return "none"
        case {"type": "tool", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}
    raise RefusedError(f"tool_choice: unexpected value {orjson.dumps(choice).decode()[:80]}")


def _is(block: Any, kind: str) -> bool:
    return isinstance(block, dict) and block.get("type") == kind


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _only(fields: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for name in fields:
        _expect(name in known, f"{where}{name}", "Extra inputs are not permitted")


def _expect(is_right: bool, where: str, expected: str) -> None:
    if not is_right:
        raise RefusedError(f"{where}: {expected}")

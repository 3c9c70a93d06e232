"""An OpenAI Responses request, checked as OpenAI checks it, in the engine's words.

What is kept from one request to the next is here too, for it is a part of what was asked:
the turns behind a `previous_response_id`, a `conversation` or an item named by its id.
There is no endpoint that makes a conversation, so each is there from its first use on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sidecar.providers.simulated.reading import RefusedError

_FIELDS = frozenset({
    "background", "context_management", "conversation", "include", "input", "instructions",
    "max_output_tokens", "max_tool_calls", "metadata", "model", "moderation",
    "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier",
    "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice",
    "tools", "top_logprobs", "top_p", "truncation", "user",
})  # fmt: skip
_SAME = ("temperature", "top_p", "reasoning", "include", "truncation")
_KEPT_AT_MOST = 1_000

Turns = tuple[Mapping[str, Any], ...]


class Kept:
    """What can be continued, by the id of a response or a conversation; the oldest goes first."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, Turns] = OrderedDict()

    def before(self, raw: Mapping[str, Any]) -> Turns:
        """The turns that a request goes on from; RefusedError where they are not known."""
        previous = raw.get("previous_response_id")
        if previous is not None and previous not in self._turns:
            raise RefusedError(
                f"Previous response with id '{previous}' not found.",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        return self._turns.get(previous or _conversation(raw), ())

    def item(self, item_id: Any) -> Mapping[str, Any]:
        """What an answer said, by the id of its item."""
        turns = self._turns.get(str(item_id).removeprefix("msg_"), ())
        if not turns:
            raise RefusedError(f"Item with id '{item_id}' not found.", 404, param="input")
        return turns[-1]

    def keep(self, raw: Mapping[str, Any], answer_id: str, turns: Sequence[Any]) -> None:
        """Keep the turns, unless the request says not to."""
        if raw.get("store") is False:
            return
        for name in filter(None, (answer_id, _conversation(raw))):
            self._turns[name] = tuple(turns)
        while len(self._turns) > _KEPT_AT_MOST:
            self._turns.popitem(last=False)


def read_responses_request(raw: Mapping[str, Any], kept: Kept) -> dict[str, Any]:
    """Check a request; what comes back is the same in Chat Completions' words."""
    _check(raw)
    turns = [*kept.before(raw), *_input(raw.get("input"), kept)]
    if raw.get("instructions"):  # those of an earlier request do not hold any more
        turns = [{"role": "system", "content": raw["instructions"]}, *turns]
    if not turns:
        raise RefusedError("Missing required parameter: 'input'.", param="input")
    request = {name: raw[name] for name in _SAME if raw.get(name) is not None}
    request |= {"model": raw["model"], "messages": turns}
    if raw.get("max_output_tokens"):
        request["max_completion_tokens"] = raw["max_output_tokens"]
    if raw.get("tools"):
        request["tools"] = [_tool(tool) for tool in raw["tools"]]
        request["tool_choice"] = _choice(raw.get("tool_choice"))
    return request | _format(raw.get("text"))


def _check(raw: Mapping[str, Any]) -> None:
    for name in raw:
        if name not in _FIELDS:
            raise RefusedError(
                f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name
            )
    if raw.get("previous_response_id") and raw.get("conversation"):
        raise RefusedError("'previous_response_id' and 'conversation' can't both be given.")
    if raw.get("background") and raw.get("store") is False:
        raise RefusedError("Background mode requires store=true", param="background")


def _conversation(raw: Mapping[str, Any]) -> str:
    given = raw.get("conversation")
    return str(given.get("id", "")) if isinstance(given, dict) else str(given or "")


def _input(given: Any, kept: Kept) -> Iterator[Mapping[str, Any]]:
    if isinstance(given, str):
        yield {"role": "user", "content": given}
        return
    for place, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, dict):
            raise RefusedError(f"Invalid type for 'input[{place}]': expected an object.")
        yield from _turn(item, place, kept)


def _turn(item: Mapping[str, Any], place: int, kept: Kept) -> Iterator[Mapping[str, Any]]:
    match item:
        case {"role": role} if item.get("type", "message") == "message":
            yield {"role": role, "content": item.get("content")}
        case {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments}:
            function = {"name": name, "arguments": arguments}
            call = {"id": id_, "type": "function", "function": function}
            yield {"role": "assistant", "content": None, "tool_calls": [call]}
        case {"type": "function_call_output", "call_id": id_, "output": output}:
            yield {"role": "tool", "tool_call_id": id_, "content": output}
        case {"type": "item_reference", "id": id_} | {"type": None, "id": id_}:
            yield kept.item(id_)
        case {"type": "reasoning"}:
            return  # it was thought, not said
        case {"id": id_} if "type" not in item:
            yield kept.item(id_)
        case _:
            raise RefusedError(f"Invalid value for 'input[{place}].type'.", param=f"input[{place}]")


def _tool(tool: Any) -> Any:
    """A function as Chat Completions has it; what runs at the provider as it is."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return tool
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _choice(choice: Any) -> Any:
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return "auto" if choice is None else choice


def _format(text: Any) -> dict[str, Any]:
    match text:
        case {"format": {"type": "json_schema", **schema}}:
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case {"format": {"type": "json_object"} as plain}:
            return {"response_format": plain}
    return {}

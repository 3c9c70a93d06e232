"""OpenAI's Responses around simulated answers: the whole object, and its events.

Pure. Beside what the engine says there is an item for what only this API has: a summary of
the reasoning where one is asked for, and a search where the tool for it is on offer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import orjson

from sidecar.providers.simulated.engine import Answer, last_said
from sidecar.providers.simulated.script import UNSET, Fault

Event = tuple[bytes, int]
Item = dict[str, Any]

_ECHOED: Mapping[str, Any] = {
    "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {},
    "parallel_tool_calls": True, "previous_response_id": None, "temperature": 1.0,
    "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
    "truncation": "disabled", "user": None, "store": True, "background": False,
    "safety_identifier": None, "service_tier": "default", "prompt_cache_key": None,
}  # fmt: skip
_REASONING = {"effort": None, "summary": None}
_WHY_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Shape:
    """One response: its head, what it repeats of the request, and what it says.

    `request` is the one that the engine answered, in its own words.
    """

    def __init__(
        self, head: Mapping[str, Any], raw: Mapping[str, Any], request: Mapping[str, Any]
    ) -> None:
        self._head = {"id": head["id"], "object": "response", "created_at": head["created"]}
        self._model = head["model"]
        self._stem = head["id"]
        self._raw = raw
        self._request = request

    def queued(self) -> bytes:
        """One that is made in the background: it says nothing yet."""
        return orjson.dumps(self._told("queued"))

    def whole(self, answer: Answer, prompt_tokens: int, fault: Fault) -> bytes:
        """One that is complete, or ended as the script says."""
        return orjson.dumps(self._ended(answer, prompt_tokens, fault))

    def events(self, answer: Answer, prompt_tokens: int, fault: Fault) -> Iterator[Event]:
        """Every event of a stream in order; a `false_done` leaves out what ends it."""
        numbers = count()
        for name, fields, tokens in self._events(answer, prompt_tokens, fault):
            data = orjson.dumps({"type": name, "sequence_number": next(numbers), **fields})
            yield b"event: %b\ndata: %b\n\n" % (name.encode(), data), tokens

    def _events(
        self, answer: Answer, prompt_tokens: int, fault: Fault
    ) -> Iterator[tuple[str, dict[str, Any], int]]:
        first = "queued" if self._raw.get("background") else "in_progress"
        yield "response.created", {"response": self._told(first)}, 0
        yield f"response.{first}", {"response": self._told(first)}, 0
        extra = self._extra_items()
        for place, item in enumerate(extra):
            where = {"output_index": place, "item": item}
            yield "response.output_item.added", where, 0
            yield "response.output_item.done", where, 0
        yield from self._item_events(answer, len(extra), fault)
        if not fault.false_done:
            whole = self._ended(answer, prompt_tokens, fault)
            yield f"response.{whole['status']}", {"response": whole}, 0

    def _item_events(
        self, answer: Answer, place: int, fault: Fault
    ) -> Iterator[tuple[str, dict[str, Any], int]]:
        empty = self._item(answer, "", "in_progress")
        yield "response.output_item.added", {"output_index": place, "item": empty}, 0
        where = {"item_id": empty["id"], "output_index": place}
        kind = "response.function_call_arguments"
        if answer.call is None:
            kind, where = "response.output_text", {**where, "content_index": 0}
            yield "response.content_part.added", {**where, "part": _part("")}, 0
        tokens = answer.tokens[: len(answer.tokens) // 2] if fault.false_done else answer.tokens
        noise: dict[str, Any] = {"logprobs": []} if answer.call is None else {}
        for token in tokens:
            yield f"{kind}.delta", {**where, "delta": token, **noise}, 1
        if fault.false_done:
            return
        if answer.call is None:
            yield f"{kind}.done", {**where, "text": answer.text, **noise}, 0
            yield "response.content_part.done", {**where, "part": _part(answer.text)}, 0
        else:
            done = {"arguments": answer.text, "name": answer.call.name}
            yield f"{kind}.done", {**where, **done}, 0
        item = self._item(answer, answer.text, "completed")
        yield "response.output_item.done", {"output_index": place, "item": item}, 0

    def _ended(self, answer: Answer, prompt_tokens: int, fault: Fault) -> dict[str, Any]:
        finish = answer.finish if fault.finish_reason is UNSET else fault.finish_reason
        if finish == "failed":
            code = "server_error" if fault.code is UNSET else fault.code
            return self._told("failed", error={"code": code, "message": fault.message})
        why = _WHY_INCOMPLETE.get(str(finish))
        status = "incomplete" if why else "completed"
        return self._told(
            status,
            incomplete_details={"reason": why} if why else None,
            output=[*self._extra_items(), self._item(answer, answer.text, status)],
            usage=_usage(prompt_tokens, len(answer.tokens), fault),
        )

    def _told(self, status: str, **said: Any) -> dict[str, Any]:
        echo = {name: self._raw.get(name, value) for name, value in _ECHOED.items()}
        return {
            **self._head, "status": status, "model": self._model, "error": None,
            "incomplete_details": None, "output": [], "usage": None, **echo,
            "reasoning": {**_REASONING, **(self._raw.get("reasoning") or {})}, **said,
        }  # fmt: skip

    def _extra_items(self) -> list[Item]:
        items: list[Item] = []
        if (self._raw.get("reasoning") or {}).get("summary"):
            thought = {"type": "summary_text", "text": "Thinking it over."}
            items.append({"type": "reasoning", "id": f"rs_{self._stem}", "summary": [thought]})
        if any(str(tool.get("type", "")).startswith("web_search") for tool in self._tools()):
            action = {"type": "search", "query": last_said(self._request)}
            items.append({
                "type": "web_search_call", "id": f"ws_{self._stem}", "status": "completed",
                "action": action,
            })  # fmt: skip
        return items

    def _tools(self) -> list[dict[str, Any]]:
        return [tool for tool in self._raw.get("tools") or () if isinstance(tool, dict)]

    def _item(self, answer: Answer, text: str, status: str) -> Item:
        if answer.call is not None:
            named = {"call_id": answer.call.id, "name": answer.call.name, "arguments": text}
            kind = {"type": "function_call", "id": f"fc_{self._stem}", "status": status}
            return kind | named
        content = [] if status == "in_progress" else [_part(text)]
        said = {"role": "assistant", "content": content}
        return {"type": "message", "id": f"msg_{self._stem}", "status": status, **said}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(input_tokens: int, output_tokens: int, fault: Fault) -> Any:
    if fault.usage is not UNSET:
        return None if fault.usage is None else dict(fault.usage)
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }

"""Anthropic's shapes around simulated answers: whole messages, events, errors.

Pure. The events come in Anthropic's order, a `ping` included, and each carries its name
twice, in the `event` line and in its data. Usage in `message_delta` is cumulative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from sidecar.providers.simulated.engine import Answer
from sidecar.providers.simulated.script import UNSET, Fault

Event = tuple[bytes, int]
"""An event's bytes, and how many output tokens they carry."""

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_FINISHES = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
"""OpenAI's words in Anthropic's, so that one script serves every dialect."""


def error_type(status: int) -> str:
    """Return Anthropic's word for a status."""
    return _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def error_body(message: str, kind: str, code: str | None = None) -> bytes:
    """Return an error reply."""
    error = {"type": kind, "message": message} | ({"code": code} if code else {})
    return orjson.dumps({"type": "error", "error": error})


def event(name: str, data: bytes) -> bytes:
    """Return one event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def whole_body(head: Mapping[str, Any], answer: Answer, prompt_tokens: int, fault: Fault) -> bytes:
    """Return a whole message; `head` is its id, created and model."""
    told = _message(head) | {"content": [_block(answer)], "stop_reason": _finish(answer, fault)}
    return orjson.dumps(told | _usage(prompt_tokens, len(answer.tokens), fault))


def events(
    head: Mapping[str, Any], answer: Answer, prompt_tokens: int, fault: Fault
) -> Iterator[Event]:
    """Make every event of a stream in order; a `false_done` leaves out what closes it."""
    yield _event("message_start", {"message": _message(head) | _usage(prompt_tokens, 1, fault)}), 0
    yield _event("content_block_start", {"index": 0, "content_block": _empty_block(answer)}), 0
    yield _event("ping", {}), 0
    tokens = answer.tokens[: len(answer.tokens) // 2] if fault.false_done else answer.tokens
    before, after = _around_token(answer)
    for token in tokens:
        yield before + orjson.dumps(token) + after, 1
    if not fault.false_done:
        yield _event("content_block_stop", {"index": 0}), 0
        delta = {"stop_reason": _finish(answer, fault), "stop_sequence": None}
        usage = _usage(prompt_tokens, len(answer.tokens), fault)
        yield _event("message_delta", {"delta": delta} | usage), 0
    yield _event("message_stop", {}), 0


def _around_token(answer: Answer) -> tuple[bytes, bytes]:
    """Return an event's bytes before and after the token, so that only it is serialised."""
    delta = {"type": "text_delta", "text": ""}
    if answer.call is not None:
        delta = {"type": "input_json_delta", "partial_json": ""}
    before, _, after = _event("content_block_delta", {"index": 0, "delta": delta}).partition(b'""')
    return before, after


def _message(head: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": head["id"],
        "type": "message",
        "role": "assistant",
        "model": head["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _block(answer: Answer) -> dict[str, Any]:
    block = _empty_block(answer)
    if answer.call is None:
        return block | {"text": answer.text}
    return block | {"input": _input(answer.text)}


def _empty_block(answer: Answer) -> dict[str, Any]:
    if answer.call is None:
        return {"type": "text", "text": ""}
    return {"type": "tool_use", "id": _tool_id(answer), "name": answer.call.name, "input": {}}


def _tool_id(answer: Answer) -> str:
    return "" if answer.call is None else answer.call.id.replace("call_", "toolu_")


def _input(arguments: str) -> Any:
    """The arguments as an object; empty where a cap cut them in the middle."""
    try:
        return orjson.loads(arguments)
    except ValueError:
        return {}


def _finish(answer: Answer, fault: Fault) -> str | None:
    finish = answer.finish if fault.finish_reason is UNSET else fault.finish_reason
    return _FINISHES.get(finish, finish) if finish is not None else None


def _usage(input_tokens: int, output_tokens: int, fault: Fault) -> dict[str, Any]:
    if fault.usage is None:
        return {}
    if fault.usage is not UNSET:
        return {"usage": dict(fault.usage)}
    return {
        "usage": {
            "input_tokens": input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens,
        }
    }


def _event(name: str, fields: Mapping[str, Any]) -> bytes:
    return event(name, orjson.dumps({"type": name, **fields}))

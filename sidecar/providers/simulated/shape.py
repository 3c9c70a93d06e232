"""OpenAI's shapes around simulated answers: whole replies, events, errors, embeddings.

Pure: what is sent when is the server's business. Events are made as finished bytes,
because an instant stream is as fast as they are written.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from hashlib import shake_128
from typing import Any

import orjson

from sidecar.providers.simulated.engine import Answer
from sidecar.providers.simulated.reading import RefusedError
from sidecar.providers.simulated.script import UNSET, Fault

DONE = b"data: [DONE]\n\n"
Event = tuple[bytes, int]
"""An event's bytes, and how many completion tokens they carry."""

_MOST_DIMENSIONS = 8192


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> bytes:
    """Return an error reply."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return orjson.dumps({"error": error})


def whole_body(
    head: Mapping[str, Any], answers: Sequence[Answer], prompt_tokens: int, fault: Fault
) -> bytes:
    """Return a whole reply; `head` is its id, created and model."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", **_content(answer), "refusal": None},
            "logprobs": None,
            "finish_reason": _finish(answer, fault),
        }
        for index, answer in enumerate(answers)
    ]
    body = {**head, "object": "chat.completion", "choices": choices}
    return orjson.dumps(body | _usage(answers, prompt_tokens, fault))


def events(
    head: Mapping[str, Any],
    answers: Sequence[Answer],
    prompt_tokens: int,
    fault: Fault,
    *,
    include_usage: bool,
) -> Iterator[Event]:
    """Make every event of a stream in order, `[DONE]` included."""
    common = {**head, "object": "chat.completion.chunk"} | (
        {"usage": None} if include_usage else {}
    )
    for index, answer in enumerate(answers):
        yield from _choice_events(common, index, answer, fault)
        if fault.false_done:
            break
    if include_usage and not fault.false_done and fault.usage is not None:
        yield _event(common | {"choices": []} | _usage(answers, prompt_tokens, fault)), 0
    yield DONE, 0


def embedding(text: str, dimensions: int, encoding: str) -> list[float] | str:
    """Return a unit vector drawn from the text's hash; base64 of float32 where asked for."""
    noise = shake_128(text.encode()).digest(dimensions)
    vector = [byte - 127.5 for byte in noise]
    length = math.sqrt(sum(value * value for value in vector))
    unit = [value / length for value in vector]
    if encoding != "base64":
        return unit
    return base64.b64encode(struct.pack(f"<{dimensions}f", *unit)).decode()


def check_dimensions(request: Mapping[str, Any]) -> None:
    """Refuse a length that no vector has."""
    dimensions = request.get("dimensions", 1536)
    if not isinstance(dimensions, int) or not 0 < dimensions <= _MOST_DIMENSIONS:
        raise RefusedError(f"dimensions: expected a whole number from 1 to {_MOST_DIMENSIONS}")


def embedding_list(
    request: Mapping[str, Any], texts: Sequence[str], tokens: int, fault: Fault
) -> dict[str, Any]:
    """Return the reply with the vectors of all texts, in their order."""
    encoding = str(request.get("encoding_format", "float"))
    vectors = (embedding(text, request.get("dimensions", 1536), encoding) for text in texts)
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    usage: Any = {"prompt_tokens": tokens, "total_tokens": tokens}
    told = {"object": "list", "data": data, "model": request["model"]}
    if fault.usage is None:
        return told
    return told | {"usage": usage if fault.usage is UNSET else dict(fault.usage)}


def _choice_events(
    common: dict[str, Any], index: int, answer: Answer, fault: Fault
) -> Iterator[Event]:
    yield _event(common | _delta(index, _first_delta(answer), None)), 0
    tokens = answer.tokens[: len(answer.tokens) // 2] if fault.false_done else answer.tokens
    before, after = _around_token(common, index, answer)
    for token in tokens:
        yield before + orjson.dumps(token) + after, 1
    if not fault.false_done:
        yield _event(common | _delta(index, {}, _finish(answer, fault))), 0


def _around_token(common: dict[str, Any], index: int, answer: Answer) -> tuple[bytes, bytes]:
    """Return an event's bytes before and after the token, so that only it is serialised."""
    delta: Any = {"content": ""}
    if answer.call is not None:
        delta = {"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}
    # The delta stands first in the event, so the first empty text is the token's place.
    before, _, after = _event(_delta(index, delta, None) | common).partition(b'""')
    return before, after


def _first_delta(answer: Answer) -> dict[str, Any]:
    if answer.call is None:
        return {"role": "assistant", "content": "", "refusal": None}
    function = {"name": answer.call.name, "arguments": ""}
    call = {"index": 0, "id": answer.call.id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _content(answer: Answer) -> dict[str, Any]:
    if answer.call is None:
        return {"content": answer.text}
    function = {"name": answer.call.name, "arguments": answer.text}
    call = {"id": answer.call.id, "type": "function", "function": function}
    return {"content": None, "tool_calls": [call]}


def _delta(index: int, delta: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"choices": [choice]}


def _finish(answer: Answer, fault: Fault) -> str | None:
    return answer.finish if fault.finish_reason is UNSET else fault.finish_reason


def _usage(answers: Sequence[Answer], prompt_tokens: int, fault: Fault) -> dict[str, Any]:
    if fault.usage is None:
        return {}
    if fault.usage is not UNSET:
        return {"usage": dict(fault.usage)}
    made = sum(len(answer.tokens) for answer in answers)
    return {
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": made,
            "total_tokens": prompt_tokens + made,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }
    }


def _event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"

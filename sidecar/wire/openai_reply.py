"""OpenAI Chat Completions replies, whole and in chunks: read from providers, written for clients.

Every field that the domain does not name is kept in `extra` and given back. A choice
has fields on two levels: those of its message (or delta) stand in `extra` under their
own names, those beside the message under names that begin with `CHOICE_LEVEL`.

What is not an answer is refused as the provider's fault, and nothing of it is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from sidecar.domain import NOTHING, Choice, Chunk, Completion, Delta, Json
from sidecar.errors import SidecarError, UpstreamError
from sidecar.wire.body import MalformedError, dump, load_object, require_object
from sidecar.wire.merge import CHOICE_LEVEL
from sidecar.wire.openai_tools import (
    read_tool_calls,
    read_tool_deltas,
    with_delta_ids,
    with_ids,
    write_tool_call,
    write_tool_delta,
)
from sidecar.wire.openai_usage import BESIDE, read_usage, with_beside, write_usage
from sidecar.wire.unreadable import unreadable

C = TypeVar("C", Choice, Delta)

_TOP: Final = frozenset(("id", "object", "created", "model", "choices", "usage"))
_CHOICE: Final = frozenset(("index", "message", "delta", "finish_reason", "logprobs"))
_SPOKEN: Final = frozenset(("role", "content", "refusal", "tool_calls"))
# Letters or a small number: what a hostile server puts here could else be our own key.
_WORD: Final = re.compile(r"[a-z_]{1,40}|[0-9]{1,4}")


def parse_completion(body: bytes) -> Completion:
    """A provider's whole reply; raises `UpstreamError` and nothing else."""
    try:
        return _read_completion(load_object(body))
    except MalformedError as error:
        raise unreadable(error) from None


def parse_chunk(data: bytes) -> Chunk:
    """One event of a provider's stream; raises `UpstreamError` and nothing else."""
    try:
        return _read_chunk(load_object(data))
    except MalformedError as error:
        raise unreadable(error) from None


def build_completion(completion: Completion) -> bytes:
    """The body of a whole reply."""
    return completion_head(completion.id, completion.created) + completion_tail(completion)


def completion_head(answer_id: str, created: int) -> bytes:
    """The beginning of a reply's body: what differs each time an answer is given again."""
    return dump({"id": answer_id, "object": "chat.completion", "created": created})[:-1] + b","


def completion_tail(completion: Completion) -> bytes:
    """The rest of it, which is the same each time."""
    raw: dict[str, Json] = {
        "model": completion.model,
        "choices": [_write_choice(choice) for choice in completion.choices],
    }
    if completion.usage is not None:
        raw["usage"] = write_usage(completion.usage, completion.extra.get(BESIDE))
    raw.update(completion.extra)
    raw.pop(BESIDE, None)
    return dump(raw)[1:]


def build_chunk(
    chunk: Chunk, *, include_usage: bool, extra: Mapping[str, Json] | None = None
) -> bytes:
    """The data of one event. `extra` adds fields beside `choices`.

    With `include_usage` every chunk has a `usage`, null but in the last one, as OpenAI
    does it. Without, none has; the caller then drops the chunk that held nothing else.
    """
    raw: dict[str, Json] = {
        "id": chunk.id,
        "object": "chat.completion.chunk",
        "created": chunk.created,
        "model": chunk.model,
        "choices": [_write_delta(delta) for delta in chunk.deltas],
    }
    if include_usage:
        beside = chunk.extra.get(BESIDE)
        raw["usage"] = None if chunk.usage is None else write_usage(chunk.usage, beside)
    if chunk.extra:
        raw.update(chunk.extra)
        raw.pop(BESIDE, None)
    if extra:
        raw.update(extra)
    return dump(raw)


def build_error(error: SidecarError) -> bytes:
    """The body of an error, in OpenAI's shape. Details can't displace the four known fields."""
    known = {
        "message": error.message,
        "type": error.kind,
        "param": error.param,
        "code": error.code,
    }
    return dump({"error": {**error.body_detail, **known}})


def _read_completion(raw: dict[str, Json]) -> Completion:
    if raw.get("error"):
        raise _failed(raw["error"], "error_in_body")
    choices = _read_each(_read_choice, raw.get("choices"))
    if not choices:
        raise MalformedError("a list of at least one choice", "choices")
    head, usage = _read_head(raw), raw.get("usage")
    choices = tuple(
        replace(choice, tool_calls=with_ids(choice.tool_calls, head[0])) for choice in choices
    )
    return Completion(*head, choices, read_usage(usage), with_beside(_rest(raw, _TOP), usage))


def _read_chunk(raw: dict[str, Json]) -> Chunk:
    if raw.get("error"):
        raise _failed(raw["error"], "error_in_stream")
    choices, usage = raw.get("choices"), raw.get("usage")
    if choices is None and usage is not None:
        # Some servers leave the list out of the event that tells usage.
        choices = []
    head, deltas = _read_head(raw), _read_each(_read_delta, choices)
    if any(delta.tool_calls for delta in deltas):
        deltas = tuple(
            replace(delta, tool_calls=with_delta_ids(delta.tool_calls, head[0])) for delta in deltas
        )
    return Chunk(*head, deltas, read_usage(usage), with_beside(_rest(raw, _TOP), usage))


def _read_head(raw: dict[str, Json]) -> tuple[str, int, str]:
    """Id, created and model; what a careless server left out is empty."""
    id_, model = raw.get("id"), raw.get("model")
    created: Json = raw.get("created")
    return (
        id_ if type(id_) is str else "",
        int(created) if type(created) in (int, float) and 0 <= created < 2**53 else 0,
        model if type(model) is str else "",
    )


def _rest(raw: Mapping[str, Json], known: frozenset[str]) -> Mapping[str, Json]:
    if raw.keys() <= known:
        return NOTHING
    return {key: value for key, value in raw.items() if key not in known}


def _read_each(read: Callable[[int, Json], C], value: Json) -> tuple[C, ...]:
    if type(value) is not list:
        raise MalformedError("a list of choices", "choices")
    items: list[C] = []
    for raw in value:
        try:
            items.append(read(len(items), raw))
        except MalformedError as error:
            raise error.within(f"choices[{len(items)}]") from None
    return tuple(items)


def _read_choice(place: int, raw: Json) -> Choice:
    spoken = require_object(require_object(raw).get("message"), "message")
    text, extra = _read_text(spoken, raw)
    return Choice(
        _index(raw, place),
        text,
        _string(raw, "finish_reason") or None,
        read_tool_calls(spoken.get("tool_calls")),
        _string(spoken, "refusal"),
        raw.get("logprobs"),
        extra,
    )


def _read_delta(place: int, raw: Json) -> Delta:
    spoken = require_object(raw).get("delta")
    if spoken is None and "message" not in raw:
        # Azure's content filter sends choices that say nothing.
        spoken = {}
    spoken = require_object(spoken, "delta")
    text, extra = _read_text(spoken, raw)
    if len(spoken) == 1 and text is not None:
        # Nearly every event of a stream: a piece of text and nothing else.
        finish = _string(raw, "finish_reason") or None
        return Delta(_index(raw, place), None, text, None, (), finish, raw.get("logprobs"), extra)
    return Delta(
        _index(raw, place),
        _string(spoken, "role") or None,
        text,
        _string(spoken, "refusal"),
        read_tool_deltas(spoken.get("tool_calls")),
        _string(raw, "finish_reason") or None,
        raw.get("logprobs"),
        extra,
    )


def _read_text(
    spoken: dict[str, Json], raw: dict[str, Json]
) -> tuple[str | None, Mapping[str, Json]]:
    """The text, and what no field names. Content in parts (Mistral's thinking) is kept whole."""
    extra = _rest(spoken, _SPOKEN)
    text = spoken.get("content")
    if type(text) is list:
        extra, text = {**extra, "content": text}, None
    elif text is not None and type(text) is not str:
        raise MalformedError("a string, a list of parts or null", "content")
    if raw.keys() <= _CHOICE:
        return text, extra
    beside = {CHOICE_LEVEL + key: value for key, value in raw.items() if key not in _CHOICE}
    return text, {**extra, **beside}


def _string(raw: dict[str, Json], name: str) -> str | None:
    value = raw.get(name)
    if value is not None and type(value) is not str:
        raise MalformedError("a string or null", name)
    return value


def _index(raw: dict[str, Json], place: int) -> int:
    value: Json = raw.get("index")
    if value is None:
        return place
    if type(value) is not int or value < 0:
        raise MalformedError("an integer of 0 or more", "index")
    return value


def _write_choice(choice: Choice) -> dict[str, Json]:
    message: dict[str, Json] = {
        "role": "assistant",
        "content": choice.text,
        "refusal": choice.refusal,
    }
    if choice.tool_calls:
        message["tool_calls"] = [write_tool_call(call) for call in choice.tool_calls]
    raw: dict[str, Json] = {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish,
    }
    return _with_extra(raw, message, choice.extra) if choice.extra else raw


def _write_delta(delta: Delta) -> dict[str, Json]:
    spoken: dict[str, Json] = {}
    if delta.role is not None:
        spoken["role"] = delta.role
    if delta.text is not None:
        spoken["content"] = delta.text
    if delta.refusal is not None:
        spoken["refusal"] = delta.refusal
    if delta.tool_calls:
        spoken["tool_calls"] = [write_tool_delta(piece) for piece in delta.tool_calls]
    raw: dict[str, Json] = {
        "index": delta.index,
        "delta": spoken,
        "logprobs": delta.logprobs,
        "finish_reason": delta.finish,
    }
    return _with_extra(raw, spoken, delta.extra) if delta.extra else raw


def _with_extra(
    raw: dict[str, Json], spoken: dict[str, Json], extra: Mapping[str, Json]
) -> dict[str, Json]:
    for key, value in extra.items():
        if key.startswith(CHOICE_LEVEL):
            raw[key.removeprefix(CHOICE_LEVEL)] = value
        else:
            spoken[key] = value
    return raw


def _failed(error: Json, reason: str) -> UpstreamError:
    """An error that came with status 200. Its text may quote the prompt, so only a word is told."""
    words = (error.get("code"), error.get("type")) if type(error) is dict else ()
    word = next((w for w in map(str, filter(None, words)) if _WORD.fullmatch(w)), "no code given")
    return UpstreamError(f"the provider answered with an error: {word}", reason=reason)

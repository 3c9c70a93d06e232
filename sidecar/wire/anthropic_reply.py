"""Anthropic replies: a whole one read from a provider, and one written for a client.

`keep` tells whether the client speaks Anthropic too. Then nothing that it could see is
lost: blocks without a word in the domain (thinking, citations), the exact reason of the
end, what its cache stored. For others it is left out, since they have no place for it and
could not have asked for it.

What is not an answer is refused as the provider's fault, and nothing of it is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sidecar.domain import NOTHING, Choice, Completion, Finish, Json
from sidecar.errors import UpstreamError
from sidecar.wire.anthropic_content import PIECES, Block, read_blocks, write_blocks
from sidecar.wire.anthropic_usage import beside_usage, read_usage, write_usage
from sidecar.wire.body import MalformedError, dump, load_object
from sidecar.wire.merge import CHOICE_LEVEL
from sidecar.wire.unreadable import unreadable

BESIDE: Final = "anthropic_reply"
"""The name, in a completion's `extra`, of what Anthropic tells beside the answer."""

STOP_REASON: Final = CHOICE_LEVEL + "stop_reason"
STOP_SEQUENCE: Final = CHOICE_LEVEL + "stop_sequence"
"""Names, in a choice's `extra`, of the end in Anthropic's words where ours say less."""

_FINISH: Final[dict[str, str]] = {
    "end_turn": Finish.STOP.value,
    "stop_sequence": Finish.STOP.value,
    "max_tokens": Finish.LENGTH.value,
    "model_context_window_exceeded": Finish.LENGTH.value,
    "tool_use": Finish.TOOL_CALLS.value,
    "refusal": Finish.CONTENT_FILTER.value,
}
_REASONS: Final[dict[str, str]] = {
    Finish.STOP.value: "end_turn",
    Finish.LENGTH.value: "max_tokens",
    Finish.TOOL_CALLS.value: "tool_use",
    Finish.FUNCTION_CALL.value: "tool_use",
    Finish.CONTENT_FILTER.value: "refusal",
}
_KNOWN: Final = frozenset(
    ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage")
)
_WORD: Final = re.compile(r"[a-z_]{1,40}")
_STREAM_ERRORS: Final = {
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate_limited",
    "billing_error": "insufficient_quota",
    "authentication_error": "auth",
    "permission_error": "auth",
}


def parse_message(body: bytes, *, created: int = 0, keep: bool = True) -> Completion:
    """A provider's whole reply; raises `UpstreamError` and nothing else."""
    try:
        return _read(load_object(body), created, keep=keep)
    except MalformedError as error:
        raise unreadable(error) from None


def parse_count(body: bytes) -> int:
    """How many tokens a request has; raises `UpstreamError` and nothing else."""
    try:
        raw = load_object(body)
    except MalformedError as error:
        raise unreadable(error) from None
    usage = read_usage({"input_tokens": raw.get("input_tokens"), "output_tokens": 0})
    if usage is None:
        raise unreadable(MalformedError("a number of tokens", "input_tokens"))
    return usage.input_tokens


def message_head(answer_id: str) -> bytes:
    """The beginning of a reply's body: what differs each time an answer is given again."""
    return dump({"id": answer_id, "type": "message", "role": "assistant"})[:-1] + b","


def message_tail(completion: Completion) -> bytes:
    """The rest of it, which is the same each time."""
    choice = completion.choices[0] if completion.choices else Choice()
    beside = told_beside(completion.extra)
    raw: dict[str, Json] = {
        **{name: value for name, value in beside.items() if name not in _KNOWN},
        "model": completion.model,
        "content": write_blocks(choice),
        **end_of(
            choice.finish, choice.extra, calls=bool(choice.tool_calls), refused=bool(choice.refusal)
        ),
        "usage": write_usage(completion.usage, beside.get("usage")),
    }
    return dump(raw)[1:]


def told_beside(extra: Mapping[str, Json]) -> Mapping[str, Json]:
    """What Anthropic told beside the answer, if it is Anthropic that answered."""
    told = extra.get(BESIDE)
    return told if isinstance(told, Mapping) else NOTHING


def end_of(
    finish: str | None, extra: Mapping[str, Json], *, calls: bool, refused: bool
) -> dict[str, Json]:
    """The end of an answer in Anthropic's words."""
    reason = extra.get(STOP_REASON)
    if type(reason) is not str:
        reason = _reason(finish, calls=calls, refused=refused)
    return {"stop_reason": reason, "stop_sequence": extra.get(STOP_SEQUENCE)}


def read_end(
    raw: Mapping[str, Json], *, calls: bool, keep: bool
) -> tuple[str | None, dict[str, Json]]:
    """The domain's word for an end, and what of Anthropic's words that would lose."""
    reason, sequence = raw.get("stop_reason"), raw.get("stop_sequence")
    if reason is None:
        return None, {}
    if type(reason) is not str:
        raise MalformedError("a string or null", "stop_reason")
    finish = _FINISH.get(reason, reason)
    extra: dict[str, Json] = {}
    if keep and _reason(finish, calls=calls, refused=False) != reason:
        extra[STOP_REASON] = reason
    if keep and sequence is not None:
        extra[STOP_SEQUENCE] = sequence
    return finish, extra


def failed(error: Json, place: str) -> UpstreamError:
    """An error that came with status 200. Its text may quote the prompt, so a word is told."""
    kind = error.get("type") if type(error) is dict else None
    word = kind if type(kind) is str and _WORD.fullmatch(kind) else "no type given"
    reason = _STREAM_ERRORS.get(word, place)
    return UpstreamError(f"the provider answered with an error: {word}", reason=reason)


def string(raw: Mapping[str, Json], name: str) -> str:
    """A word of the head; what a careless server left out is empty."""
    value = raw.get(name)
    return value if type(value) is str else ""


def check_block(raw: Json, place: str) -> Block:
    """A block whose fields have the types that they are read with."""
    if type(raw) is not dict or type(raw.get("type")) is not str:
        raise MalformedError("an object with a type", place)
    if raw["type"] == "text" and type(raw.get("text")) is not str:
        raise MalformedError("a string", f"{place}.text")
    if raw["type"] == "tool_use":
        for name in ("id", "name"):
            if type(raw.get(name)) is not str:
                raise MalformedError("a string", f"{place}.{name}")
        if type(raw.get("input")) is not dict:
            raise MalformedError("an object", f"{place}.input")
    return raw


def beside_of(raw: Mapping[str, Json], usage: Json) -> Mapping[str, Json]:
    """What is told beside the answer, as an `extra`."""
    told = {k: v for k, v in raw.items() if k not in _KNOWN and v is not None}
    if counts := beside_usage(usage):
        told["usage"] = dict(counts)
    return {BESIDE: told} if told else NOTHING


def _read(raw: dict[str, Json], created: int, *, keep: bool) -> Completion:
    if raw.get("type") == "error" or raw.get("error"):
        raise failed(raw.get("error"), "error_in_body")
    if type(raw.get("content")) is not list:
        raise MalformedError("a list of blocks", "content")
    blocks = [check_block(block, f"content[{at}]") for at, block in enumerate(raw["content"])]
    text, calls, pieces = read_blocks(blocks, keep=keep)
    finish, end = read_end(raw, calls=bool(calls), keep=keep)
    extra = {PIECES: pieces, **end} if pieces else end
    choice = Choice(0, text, finish, tuple(calls), extra=extra or NOTHING)
    beside = beside_of(raw, raw.get("usage")) if keep else NOTHING
    usage = read_usage(raw.get("usage"))
    return Completion(string(raw, "id"), created, string(raw, "model"), (choice,), usage, beside)


def _reason(finish: str | None, *, calls: bool, refused: bool) -> str | None:
    if finish is None:
        return None
    if refused:
        return "refusal"
    # Some servers say `stop` behind a call that they were told to make.
    if calls and finish == Finish.STOP.value:
        return "tool_use"
    # A word unknown here stays as it is: `end_turn` would call any end a regular one.
    return _REASONS.get(finish, finish)

"""Tokens as OpenAI tells them; `prompt_tokens` includes the cached, as the domain has it.

Usage is never a reason to refuse an answer: where it is missing or can't be true it is
None, and whoever pays decides what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeGuard

from sidecar.domain import Json, Usage

MAX_TOKENS: Final = 10**9
"""No answer has more; a count beyond it is a lie."""


BESIDE: Final = "openai_usage"
"""The name, in an answer's `extra`, of what is told beside the counts that the domain has."""

_TOLD: Final = {
    "prompt_tokens": (),
    "completion_tokens": (),
    "total_tokens": (),
    "prompt_tokens_details": ("cached_tokens",),
    "completion_tokens_details": ("reasoning_tokens",),
}
"""What `write_usage` writes; of an object these fields."""


_WRITTEN: Final = ("cache_write_tokens", "cache_creation_tokens")
"""Where servers that ask Claude for others tell what its cache took in, which is dearer."""


def with_beside(extra: Mapping[str, Json], value: Json) -> Mapping[str, Json]:
    """`extra` with what usage tells beside the counts: tokens of audio, a server's own price."""
    if type(value) is not dict:
        return extra
    rest = {name: told for name, raw in value.items() if (told := _rest(name, raw))}
    return {**extra, BESIDE: rest} if rest else extra


def _rest(name: str, raw: Json) -> Json:
    """What of a field would be lost; a zero says as much as its absence."""
    if name not in _TOLD:
        return raw
    if type(raw) is not dict:
        return None
    return {inner: said for inner, said in raw.items() if said and inner not in _TOLD[name]}


def read_usage(value: Json) -> Usage | None:
    """Tokens, or None where they are missing or can't be true."""
    if type(value) is not dict:
        return None
    spent, made = value.get("prompt_tokens"), value.get("completion_tokens")
    if not (_is_count(spent) and _is_count(made)):
        return None
    made += _left_out(value, spent, made)
    told = value.get("prompt_tokens_details")
    cached = _detail(told, "cached_tokens", spent)
    written = max(_detail(told, name, spent - cached) for name in _WRITTEN)
    reasoning = _detail(value.get("completion_tokens_details"), "reasoning_tokens", made)
    return Usage(spent, made, cached, reasoning, written)


def _left_out(value: Mapping[str, Json], spent: int, made: int) -> int:
    """What only the total tells: some servers leave thinking out of what they made."""
    total = value.get("total_tokens")
    return max(0, total - spent - made) if _is_count(total) else 0


def write_usage(usage: Usage, beside: Json = None) -> dict[str, Json]:
    """The object that clients read, `beside` what a provider told that is no count of ours."""
    raw: dict[str, Json] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
    for name, told in beside.items() if isinstance(beside, Mapping) else ():
        known = raw.get(name)
        if known is None:
            raw[name] = told
        elif isinstance(known, dict) and isinstance(told, Mapping):
            raw[name] = {**told, **known}
    return raw


def _is_count(value: Json) -> TypeGuard[int]:
    # `type`, not `isinstance`: true is an int to Python, and no count.
    return type(value) is int and 0 <= value <= MAX_TOKENS


def _detail(details: Json, name: str, whole: int) -> int:
    """A part of `whole`. One that can't be part of it counts as 0: the dearer reading."""
    value = details.get(name) if type(details) is dict else None
    return value if _is_count(value) and value <= whole else 0

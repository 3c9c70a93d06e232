"""Tokens as OpenAI tells them; `prompt_tokens` includes the cached, as the domain has it.

Usage is never a reason to refuse an answer: where it is missing or can't be true it is
None, and whoever pays decides what that costs.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from sidecar.domain import Json, Usage

MAX_TOKENS: Final = 10**9
"""No answer has more; a count beyond it is a lie."""


def read_usage(value: Json) -> Usage | None:
    """Tokens, or None where they are missing or can't be true."""
    if type(value) is not dict:
        return None
    spent, made = value.get("prompt_tokens"), value.get("completion_tokens")
    if not (_is_count(spent) and _is_count(made)):
        return None
    cached = _detail(value.get("prompt_tokens_details"), "cached_tokens", spent)
    reasoning = _detail(value.get("completion_tokens_details"), "reasoning_tokens", made)
    return Usage(spent, made, cached, reasoning)


def write_usage(usage: Usage) -> dict[str, Json]:
    """The object that clients read."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _is_count(value: Json) -> TypeGuard[int]:
    # `type`, not `isinstance`: true is an int to Python, and no count.
    return type(value) is int and 0 <= value <= MAX_TOKENS


def _detail(details: Json, name: str, whole: int) -> int:
    """A part of `whole`. One that can't be part of it counts as 0: the dearer reading."""
    value = details.get(name) if type(details) is dict else None
    return value if _is_count(value) and value <= whole else 0

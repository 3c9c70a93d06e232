"""Tokens as Anthropic tells them: its `input_tokens` leave out what its cache took part in.

The domain's include it, so it is added on the way in and taken off on the way out; else
what was cached would count twice or not at all. Usage that is missing or can't be true is
None, as in every format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain import NOTHING, Json, Usage
from sidecar.wire.openai_usage import MAX_TOKENS

_CREATED: Final = "cache_creation_input_tokens"
_READ: Final = "cache_read_input_tokens"
_DETAILS: Final = "output_tokens_details"
_THOUGHT: Final = "thinking_tokens"
_COUNTS: Final = frozenset(("input_tokens", "output_tokens", _READ))


def read_usage(value: Json) -> Usage | None:
    """Tokens, or None where they are missing or can't be true."""
    if not isinstance(value, Mapping):
        return None
    fresh, made = _count(value.get("input_tokens")), _count(value.get("output_tokens"))
    created, cached = _count(value.get(_CREATED) or 0), _count(value.get(_READ) or 0)
    if fresh is None or made is None or created is None or cached is None:
        return None
    spent, details = fresh + created + cached, value.get(_DETAILS)
    thought = _count(details.get(_THOUGHT)) if isinstance(details, Mapping) else 0
    # What can't be part of the whole counts as 0: it is paid for either way.
    thought = thought if thought is not None and thought <= made else 0
    long = _kept_long(value, created)
    return Usage(spent, made, cached, thought, created, long) if spent <= MAX_TOKENS else None


def _kept_long(value: Mapping[str, Json], created: int) -> int:
    """Of the tokens written to the cache, those kept for an hour: they are dearer."""
    kinds = value.get("cache_creation")
    long = _count(kinds.get("ephemeral_1h_input_tokens")) if isinstance(kinds, Mapping) else 0
    return min(long or 0, created)


def beside_usage(value: Json) -> Mapping[str, Json]:
    """What Anthropic tells beside the three counts: what its cache stored, what tools did."""
    if not isinstance(value, Mapping):
        return NOTHING
    rest = {name: told for name, told in value.items() if name not in _COUNTS and told is not None}
    return rest or NOTHING


def write_usage(usage: Usage | None, beside: Json = NOTHING) -> dict[str, Json]:
    """The object that clients read. Unknown usage is told as 0: the field can't be left out."""
    told = beside if isinstance(beside, Mapping) else NOTHING
    usage = usage or Usage(0, 0)
    created = _count(told.get(_CREATED)) or 0
    fresh = usage.input_tokens - usage.cached_input_tokens - created
    if fresh < 0:
        created, fresh = 0, usage.input_tokens - usage.cached_input_tokens
    thought = {_DETAILS: {_THOUGHT: usage.reasoning_tokens}} if usage.reasoning_tokens else {}
    return {
        **thought,
        **told,
        "input_tokens": fresh,
        _CREATED: created,
        _READ: usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }


def _count(value: Json) -> int | None:
    # `type`, not `isinstance`: true is an int to Python, and no count.
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None

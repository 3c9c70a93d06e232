"""What the objects of an OpenAI Responses request may hold, and how one is read.

Providers are asked by chat completions where that says all. So a field either has a word
there, or asks for what is done anyway, or is a `NoWordError`: none is dropped in silence.
A null field is an absent one, which is how SDKs send what was not set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, NamedTuple

from sidecar.domain import Json
from sidecar.errors import InvalidRequestError
from sidecar.wire.body import MalformedError
from sidecar.wire.openai_fields import FIELDS

NO_WORD: Final = "left out: chat completions have no word for it"
LOGPROBS: Final = "message.output_text.logprobs"
"""The one thing to `include` that a chat provider can tell."""

SAME: Final = (
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "metadata",
    "user",
    "safety_identifier",
    "store",
)
"""Fields that chat has under the same name."""

_RESERVED: Final = ("prompt", "context")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PLAIN_KIND: Final = re.compile(r"[a-z0-9_]{1,40}")


class NoWordError(MalformedError):
    """It may be right, but chat can't say it: only a provider of this format can be asked."""

    def within(self, parent: str) -> NoWordError:
        """The same, seen from one level up."""
        seen = super().within(parent)
        return NoWordError(seen.expected, seen.path)


class Rule(NamedTuple):
    """What a field must be, and how to see that."""

    expected: str
    is_valid: Callable[[Json], bool]
    required: bool = False


def _chat(name: str, *, required: bool = False) -> Rule:
    return Rule(FIELDS[name].expected, FIELDS[name].is_valid, required)


def one_of(*words: str, required: bool = False) -> Rule:
    """One of these words."""
    expected = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    return Rule(expected, lambda value: type(value) is str and value in words, required)


ANY: Final = Rule("anything", lambda _: True)
STRING: Final = Rule("a string", lambda value: type(value) is str)
TEXT: Final = Rule("a string", lambda value: type(value) is str, required=True)
NAME: Final = Rule(
    "a non-empty string", lambda value: type(value) is str and value != "", required=True
)
FLAG: Final = Rule("true or false", lambda value: type(value) is bool)
OBJECT: Final = Rule("an object", lambda value: type(value) is dict)
LIST: Final = Rule("a list", lambda value: type(value) is list)

REQUEST: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        **{name: _chat(name) for name in SAME},
        "model": _chat("model", required=True),
        "input": Rule(
            "a string or a list of items", lambda v: type(v) in (str, list), required=True
        ),
        "instructions": STRING,
        "max_output_tokens": _chat("max_completion_tokens"),
        "tools": _chat("tools"),
        "tool_choice": _chat("tool_choice"),
        "text": OBJECT,
        "reasoning": OBJECT,
        "include": LIST,
        "top_logprobs": _chat("top_logprobs"),
        "stream": FLAG,
        "stream_options": OBJECT,
        # Either may only ask for what is done anyway: see `responses_request`.
        "background": FLAG,
        "truncation": one_of("auto", "disabled"),
    }
)


def check_reserved(raw: Mapping[str, Json]) -> None:
    """Raise `InvalidRequestError` for what is this product's own and does not exist yet."""
    for name in _RESERVED:
        if raw.get(name) is not None:
            raise InvalidRequestError(f"{name} is not available in this version", param=name)


def read_fields(raw: Json, rules: Mapping[str, Rule]) -> dict[str, Json]:
    """The fields of an object that are not null; for what `rules` don't name there's no word."""
    said = check_fields(raw, rules)
    for name in said:
        if name not in rules:
            raise NoWordError(NO_WORD, shown(name))
    for name, rule in rules.items():
        if rule.required and name not in said:
            raise MalformedError(rule.expected, name)
    return said


def check_fields(raw: Json, rules: Mapping[str, Rule]) -> dict[str, Json]:
    """The fields of an object that are not null, each of its type where `rules` tell one."""
    if type(raw) is not dict:
        raise MalformedError("an object")
    said = {name: value for name, value in raw.items() if value is not None}
    for name, value in said.items():
        rule = rules.get(name)
        if rule is not None and not rule.is_valid(value):
            raise MalformedError(rule.expected, name)
    return said


def shown(name: str) -> str:
    """A name that the client chose, as far as it can be told back in one line."""
    return name if _PLAIN_NAME.fullmatch(name) else "(a field of an unusual name)"


@contextmanager
def at(place: str) -> Iterator[None]:
    """What is wrong inside this block is wrong at this place."""
    try:
        yield
    except MalformedError as error:
        raise error.within(place) from None


def kind_of(raw: Json, known: Collection[str], default: str | None = None) -> str:
    """The type of an object, where it is one of the known."""
    if type(raw) is not dict:
        raise MalformedError("an object")
    kind = default if raw.get("type") is None else raw["type"]
    if type(kind) is not str:
        raise MalformedError(f"one of {', '.join(known)}", "type")
    if kind in known:
        return kind
    because = f": no chat provider takes {kind}" if _PLAIN_KIND.fullmatch(kind) else ""
    raise NoWordError(f"one of {', '.join(known)}{because}", "type")

"""The fields of an OpenAI chat request: what each may hold, and what it is to the cache.

A table, so that a reader sees in one place which fields change an answer. What is not
in it is `unknown`: passed on untouched, and part of the scope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sidecar.domain import Json
from sidecar.errors import InvalidRequestError

RESERVED = ("prompt", "context")
"""The sidecar's own fields, of no vendor's format: no provider is sent them."""

ENVELOPE = "envelope"
PARAMETERS = "parameters"
LABELS = "labels"

_METADATA_PAIRS, _METADATA_KEY, _METADATA_VALUE = 16, 64, 512
"""OpenAI's limits."""


def check_reserved(raw: Mapping[str, Json]) -> None:
    """Raise `InvalidRequestError` for a field of the sidecar's own that is not there yet.

    Passed on, it would be ignored or complained of by a provider that doesn't know it.
    """
    for name in RESERVED:
        if raw.get(name) is not None:
            raise InvalidRequestError(f"{name} is not available in this version", param=name)


class Field(NamedTuple):
    """Where a field goes, what it must be, and how to see that."""

    group: str
    expected: str
    is_valid: Callable[[Json], bool]


def _is_string(value: Json) -> bool:
    return type(value) is str


def _is_name(value: Json) -> bool:
    return type(value) is str and value != ""


def _is_bool(value: Json) -> bool:
    return type(value) is bool


def _is_integer(value: Json) -> bool:
    return type(value) is int


def _is_object(value: Json) -> bool:
    return type(value) is dict


def _is_list(value: Json) -> bool:
    return type(value) is list and bool(value)


def _is_objects(value: Json) -> bool:
    return type(value) is list and all(type(item) is dict for item in value)


def _is_strings(value: Json) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def _is_string_or_object(value: Json) -> bool:
    return type(value) is str or type(value) is dict


def _is_stop(value: Json) -> bool:
    return type(value) is str or _is_strings(value)


def _is_biases(value: Json) -> bool:
    return type(value) is dict and all(type(bias) in (int, float) for bias in value.values())


def _is_metadata(value: Json) -> bool:
    return (
        type(value) is dict
        and len(value) <= _METADATA_PAIRS
        and all(
            len(key) <= _METADATA_KEY and type(text) is str and len(text) <= _METADATA_VALUE
            for key, text in value.items()
        )
    )


def _number(group: str, low: float, high: float) -> Field:
    # `type`, not `isinstance`: true is an int to Python, and no temperature.
    return Field(
        group,
        f"a number from {low:g} to {high:g}",
        lambda value: type(value) in (int, float) and low <= value <= high,
    )


def _count(group: str, low: int, high: int | None = None) -> Field:
    if high is None:
        return Field(group, f"an integer of at least {low}", lambda v: type(v) is int and v >= low)
    return Field(
        group, f"an integer from {low} to {high}", lambda v: type(v) is int and low <= v <= high
    )


_STRING = Field(PARAMETERS, "a string", _is_string)
_OBJECT = Field(PARAMETERS, "an object", _is_object)
_FLAG = Field(PARAMETERS, "true or false", _is_bool)
_OBJECTS = Field(PARAMETERS, "a list of objects", _is_objects)
_CHOICE = Field(PARAMETERS, "a string or an object", _is_string_or_object)

FIELDS: dict[str, Field] = {
    "model": Field(ENVELOPE, "a non-empty string", _is_name),
    "messages": Field(ENVELOPE, "a list of at least one message", _is_list),
    "stream": Field(ENVELOPE, "true or false", _is_bool),
    "stream_options": Field(ENVELOPE, "an object", _is_object),
    "tools": Field(ENVELOPE, "a list of objects", _is_objects),
    "temperature": _number(PARAMETERS, 0, 2),
    "top_p": _number(PARAMETERS, 0, 1),
    "presence_penalty": _number(PARAMETERS, -2, 2),
    "frequency_penalty": _number(PARAMETERS, -2, 2),
    "n": _count(PARAMETERS, 1, 128),
    "max_tokens": _count(PARAMETERS, 1),
    "max_completion_tokens": _count(PARAMETERS, 1),
    "top_logprobs": _count(PARAMETERS, 0),
    "seed": Field(PARAMETERS, "an integer", _is_integer),
    "stop": Field(PARAMETERS, "a string or a list of strings", _is_stop),
    "logit_bias": Field(PARAMETERS, "an object of numbers", _is_biases),
    "logprobs": _FLAG,
    "parallel_tool_calls": _FLAG,
    "response_format": _OBJECT,
    "audio": _OBJECT,
    "prediction": _OBJECT,
    "web_search_options": _OBJECT,
    "tool_choice": _CHOICE,
    "function_call": _CHOICE,
    "functions": _OBJECTS,
    "modalities": Field(PARAMETERS, "a list of strings", _is_strings),
    "reasoning_effort": _STRING,
    "verbosity": _STRING,
    "service_tier": _STRING,
    "prompt_cache_key": _STRING,
    "prompt_cache_retention": _STRING,
    "metadata": Field(
        LABELS,
        f"an object of at most {_METADATA_PAIRS} strings, keys up to {_METADATA_KEY} and values"
        f" up to {_METADATA_VALUE} characters long",
        _is_metadata,
    ),
    "user": Field(LABELS, "a string", _is_string),
    "safety_identifier": Field(LABELS, "a string", _is_string),
    "store": Field(LABELS, "true or false", _is_bool),
}

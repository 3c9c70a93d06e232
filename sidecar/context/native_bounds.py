"""Bounds of a Responses request that is passed on in its own words. Pure.

Its body is all that a provider reads, so the body is what is measured. Where all of that
stands in it as text, its bytes bound the tokens; where it leans on what the provider keeps,
or holds what only the provider can read, the context window does. What is billed beside
tokens is named, as for any other request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from sidecar.context.beyond import is_run_by_provider, is_usual, why_brings_input, word
from sidecar.domain import Json
from sidecar.native import NativeRequest

CAP: Final = "max_output_tokens"

_TEXTUAL_ITEMS: Final = frozenset(
    ("message", "function_call", "function_call_output", "custom_tool_call")
) | {"custom_tool_call_output", "reasoning"}
_TEXTUAL_PARTS: Final = frozenset(
    ("input_text", "output_text", "summary_text", "reasoning_text", "refusal", "text")
)
_PARTS: Final = ("content", "output", "summary")


def why_unpriced_natively(request: NativeRequest) -> str | None:
    """The first thing that the usual price of a token does not cover."""
    for name, value in request.body.items():
        # A prompt that is kept at the provider may bring tools along.
        if name == "prompt" or not is_usual(name, value):
            return name
    for tool in _objects(request.body.get("tools")):
        if is_run_by_provider(tool):
            return f"tools: {word(tool.get('type'))}"
    return None


def why_uncountable_natively(request: NativeRequest) -> str | None:
    """The first thing whose tokens the body does not show."""
    body = request.body
    if (name := why_brings_input(body)) is not None:
        return name
    said = body.get("input")
    if type(said) is list and not all(map(_is_textual, said)):
        return "an item of its input"
    return None


def pieces(request: NativeRequest) -> int:
    """How many items and parts there are around which a model may see marks."""
    items = list(_objects(request.body.get("input")))
    return len(items) + sum(
        len(parts) for item in items for name in _PARTS if type(parts := item.get(name)) is list
    )


def native_cap(request: NativeRequest) -> int | None:
    """The cap of its output that it sets itself."""
    cap = request.body.get(CAP)
    return cap if type(cap) is int else None


def with_native_cap(request: NativeRequest, cap: int) -> NativeRequest:
    """The request with a cap, where it has none."""
    if native_cap(request) is not None:
        return request
    return replace(request, body={**request.body, CAP: cap})


def _is_textual(item: Json) -> bool:
    """Whether an item holds all that a model is given of it, as text."""
    if type(item) is not dict or item.get("encrypted_content"):
        return False
    # A message may leave its type out; so may what only names an item by its id.
    if item.get("type") is None and "role" not in item:
        return False
    if item.get("type") not in (None, *_TEXTUAL_ITEMS):
        return False
    parts = [part for name in _PARTS if type(item.get(name)) is list for part in item[name]]
    return all(type(part) is dict and part.get("type") in _TEXTUAL_PARTS for part in parts)


def _objects(value: Json) -> Iterator[Mapping[str, Json]]:
    yield from (each for each in (value if type(value) is list else ()) if type(each) is dict)

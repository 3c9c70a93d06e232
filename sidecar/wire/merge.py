"""Joins the pieces of fields that no type names: what a stream's events say of them together.

By type, for the names are the vendors' own: strings and lists continue, objects are
joined field by field, of the rest the last counts, and a null says nothing beside
anything else. Linear in what it is given, for the pieces are joined once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sidecar.domain import NOTHING, Json

CHOICE_LEVEL: Final = "choice."
"""Begins the name, in `extra`, of a field that stands beside the message or delta."""

_SAID_ONCE: Final = frozenset(("id", "type", "name", "index", "role", "format"))
"""Fields that vendors repeat rather than continue."""


def merged(mappings: Sequence[Mapping[str, Json]]) -> Mapping[str, Json]:
    """Mappings that came one after the other, as one."""
    if len(mappings) < 2:
        return mappings[0] if mappings else NOTHING
    gathered: dict[str, list[Json]] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            gathered.setdefault(key, []).append(value)
    return {key: _of_key(key, values) for key, values in gathered.items()}


def joined(values: Sequence[Json]) -> Json:
    """The pieces of one value as one."""
    said = [value for value in values if value is not None]
    if len(said) < 2:
        return said[0] if said else None
    kinds = {type(value) for value in said}
    if kinds == {str}:
        return "".join(said)
    if kinds == {list}:
        return [item for value in said for item in value]
    if kinds == {dict}:
        return dict(merged(said))
    return said[-1]


def weight_bytes(value: Json) -> int:
    """How much memory a value holds, roughly and never far too little."""
    if isinstance(value, str):
        return text_bytes(value)
    if isinstance(value, Mapping):
        return 8 + sum(text_bytes(key) + weight_bytes(inner) for key, inner in value.items())
    if isinstance(value, list):
        return 8 + sum(map(weight_bytes, value))
    return 8


def text_bytes(text: str) -> int:
    """Length in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def _of_key(key: str, values: Sequence[Json]) -> Json:
    value = joined(values)
    # Beside the message a word is a state, such as a stop reason, and no text that continues.
    if key in _SAID_ONCE or (type(value) is str and key.startswith(CHOICE_LEVEL)):
        return next((said for said in reversed(values) if said is not None), None)
    return value

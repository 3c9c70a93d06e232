"""Values that fit a schema, however odd it is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from sidecar.providers.simulated.sample import sample


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "simulated value"),
        ({"type": "string", "minLength": 17}, "simulated value.."),
        ({"type": "string", "maxLength": 3}, "sim"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "number", "exclusiveMinimum": 5}, 6),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 1),
        ({"enum": ["red", "blue"]}, "red"),
        ({"const": 7}, 7),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 1),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {}),
        ({"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"a": 1}),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, 1),
    ],
)
def test_a_value_fits(schema: Any, value: Any) -> None:
    """Each keyword that is understood."""
    assert sample(schema) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {
            "properties": {name: {"$ref": "#"} for name in "abcdefgh"},
            "required": list("abcdefgh"),
        },
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"type": "string", "minLength": 10**9},
    ],
)
def test_a_schema_ends(schema: Any) -> None:
    """However often it refers to itself, and whatever it demands."""
    assert len(orjson.dumps(sample(schema))) < 100_000


@pytest.mark.parametrize(
    "schema",
    [None, 7, [], {"type": 7}, {"enum": []}, {"$ref": "#/no"}, {"required": 7, "type": "object"}],
)
def test_nonsense_is_no_failure(schema: Any) -> None:
    """A schema that is none has a value too, if only null."""
    orjson.dumps(sample(schema))

"""A value that fits a JSON schema, simply: what it requires, and nothing it does not.

It refuses to be a full generator: `pattern`, `not`, conditions and formats beyond dates
are passed over. The invariants: the same schema gives the same value, and a schema ends,
whatever it refers to or demands: depth and the number of values are bounded.
"""

from __future__ import annotations

from typing import Any

_DEEPEST = 12
_MOST_VALUES = 2_000
_LONGEST = 1_000
_FORMATS = {"date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "time": "00:00:00Z"}
_CHOICES = ("anyOf", "oneOf", "allOf")


def sample(schema: Any, name: str = "value") -> Any:
    """Return a value for `schema`; `name` colours its strings."""
    return _Sampler(schema).value(schema, name, 0)


class _Sampler:
    """One walk through a schema, null where it has gone too far."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MOST_VALUES

    def value(self, schema: Any, name: str, depth: int) -> Any:
        self._left -= 1
        if not isinstance(schema, dict) or depth > _DEEPEST or self._left < 0:
            return None
        if "const" in schema:
            return schema["const"]
        if options := _listed(schema, "enum"):
            return options[0]
        if isinstance(schema.get("$ref"), str):
            return self.value(_resolved(schema["$ref"], self._root), name, depth + 1)
        for keyword in _CHOICES:
            if options := _listed(schema, keyword):
                return self.value(options[0], name, depth + 1)
        return self._of_kind(schema, name, depth)

    def _of_kind(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        match _kind(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
            case "string":
                return _string(schema, name)
            case _:
                return None

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        known = properties if isinstance(properties, dict) else {}
        return {
            name: self.value(known.get(name, {"type": "string"}), name, depth + 1)
            for name in _listed(schema, "required")
            if isinstance(name, str)
        }

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        items = schema.get("items", {"type": "string"})
        wanted = max(1, _bound(schema, "minItems"))
        return [self.value(items, name, depth + 1) for _ in range(min(wanted, self._left))]


def _kind(schema: dict[str, Any]) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return next(iter(kind), None) if isinstance(kind, list) else kind


def _string(schema: dict[str, Any], name: str) -> str:
    text = _FORMATS.get(str(schema.get("format")), f"simulated {name}")
    text = text.ljust(min(_bound(schema, "minLength"), _LONGEST), ".")
    return text[: _bound(schema, "maxLength")] if "maxLength" in schema else text


def _number(schema: dict[str, Any]) -> int:
    if "exclusiveMinimum" in schema:
        return _bound(schema, "exclusiveMinimum") + 1
    if "minimum" in schema:
        return _bound(schema, "minimum")
    return min(1, _bound(schema, "maximum")) if "maximum" in schema else 1


def _bound(schema: dict[str, Any], keyword: str) -> int:
    bound = schema.get(keyword, 0)
    return int(bound) if isinstance(bound, int | float) else 0


def _listed(schema: dict[str, Any], keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def _resolved(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step) if isinstance(found, dict) else None
    return found

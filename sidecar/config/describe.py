"""What the config's types expect, in words, and where a pydantic error points.

Pydantic tells what went wrong inside it; an operator wants to know what to write. So
the words are made from the field's type and limits, not from the error.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

import annotated_types as limits
from pydantic import BaseModel, SecretStr

from sidecar.config.problem import Path
from sidecar.config.section import Says

_PLAIN: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    str: "a text",
    SecretStr: "a text",
}
KEY_MARK = "[key]"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an error points: its path in the file, and the type expected there if known."""

    path: Path
    expected: Any = None


def is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a type is a section of the config."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def is_mapping(annotation: Any) -> bool:
    """Whether a mapping belongs there, with fixed keys or free ones."""
    return any(_name(branch) == "a mapping" for branch in branches(annotation))


def holds_section(annotation: Any) -> bool:
    """Whether a section belongs there, or somewhere beneath."""
    return any(
        is_model(branch) or any(map(holds_section, get_args(branch)))
        for branch in branches(annotation)
    )


def branches(annotation: Any) -> tuple[Any, ...]:
    """The types that a value may have, without annotations; None is left out."""
    if get_origin(annotation) is Annotated:
        return branches(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(b for arg in get_args(annotation) for b in branches(arg))
    return () if annotation in {None, type(None)} else (annotation,)


def fields_of(annotation: Any) -> dict[str, Any]:
    """Keys of the file to their types, where `annotation` has sections."""
    return {
        field.alias or name: Annotated[(field.annotation, *field.metadata)]
        if field.metadata
        else field.annotation
        for section in branches(annotation)
        if is_model(section)
        for name, field in section.model_fields.items()
    }


def locate(annotation: Any, loc: Sequence[str | int], path: Path = ()) -> Place:
    """The place of a pydantic error; the names of union members drop out of its path."""
    if not loc:
        return Place(path, annotation)
    step, rest = loc[0], loc[1:]
    fields = fields_of(annotation)
    if step in fields:
        return locate(fields[str(step)], rest, (*path, step))
    if len(members := [b for b in branches(annotation) if is_model(b)]) > 1:
        chosen = [member for member in members if step in kinds(member)]
        return locate(chosen[0], rest, path) if chosen else Place((*path, step))
    return _locate_inside(annotation, step, rest, path)


def _locate_inside(
    annotation: Any, step: str | int, rest: Sequence[str | int], path: Path
) -> Place:
    for branch in branches(annotation):
        origin, arguments = get_origin(branch), get_args(branch)
        if origin is tuple:
            return locate(arguments[0], rest, (*path, step))
        if isinstance(origin, type) and issubclass(origin, Mapping):
            inner = arguments[0] if tuple(rest) == (KEY_MARK,) else arguments[1]
            return locate(inner, () if inner is arguments[0] else rest, (*path, step))
    return Place((*path, step))


def kinds(annotation: Any) -> tuple[str, ...]:
    """The values of `kind` that choose among sections."""
    kind = fields_of(annotation).get("kind")
    found = [b for b in branches(annotation) if is_model(b)]
    if len(found) > 1:
        return tuple(k for section in found for k in kinds(section))
    return get_args(branches(kind)[0]) if kind is not None else ()


def metadata_of(annotation: Any) -> Iterator[Any]:
    """Everything that annotations say about a type, the outermost first."""
    if get_origin(annotation) is Annotated:
        inner, *said = get_args(annotation)
        yield from said
        yield from metadata_of(inner)
    elif get_origin(annotation) in {Union, types.UnionType}:
        for argument in get_args(annotation):
            yield from metadata_of(argument)


def says_of(annotation: Any) -> Says | None:
    """The type's own words, if it has any."""
    return next((said for said in metadata_of(annotation) if isinstance(said, Says)), None)


def expected(annotation: Any) -> str:
    """What to write: `a number between 0 and 1`, `one of serve, shadow, off`."""
    said = says_of(annotation)
    names = [said.expected] if said else [_name(branch) for branch in branches(annotation)]
    nullable = type(None) in get_args(annotation) or type(None) in get_args(_inner(annotation))
    comma = "," if said else ""
    told = _limits(annotation, said or Says(""))
    words = " or ".join(dict.fromkeys(names)) + (f"{comma}{told}" if told else "")
    return f"{words}, or null" if nullable else words


def _inner(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _name(branch: Any) -> str:
    origin = get_origin(branch)
    if origin is Literal:
        return _one_of(get_args(branch))
    if isinstance(branch, type) and issubclass(branch, Enum):
        return _one_of([member.value for member in branch])
    if origin is tuple:
        return "a list"
    return _PLAIN.get(branch, "a mapping")


def _one_of(values: Sequence[str]) -> str:
    return f"one of {', '.join(values)}" if len(values) > 1 else str(values[0])


def _limits(annotation: Any, says: Says) -> str:
    low = high = shut_low = None
    for said in _flat(metadata_of(annotation)):
        match said:
            case limits.Ge(ge=bound):
                low = says.render(bound)
            case limits.Gt(gt=bound):
                shut_low = says.render(bound)
            case limits.Le(le=bound):
                high = says.render(bound)
            case limits.MinLen() if not says.expected:
                return " that is not empty"
            case _:
                pass
    return _between(low, shut_low, high)


def _flat(metadata: Iterator[Any]) -> Iterator[Any]:
    for said in metadata:
        yield from getattr(said, "metadata", ()) or (said,)


def _between(low: str | None, shut_low: str | None, high: str | None) -> str:
    if low is not None and high is not None:
        return f" between {low} and {high}"
    parts = [
        f"above {shut_low}" if shut_low is not None else "",
        f"at least {low}" if low is not None else "",
        f"at most {high}" if high is not None else "",
    ]
    told = " and ".join(part for part in parts if part)
    return f" {told}" if told else ""

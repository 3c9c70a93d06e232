"""A tree of plain values to a frozen config, or to the list of all that is wrong with it.

Pydantic stops before the checks across sections while a field is wrong. So a wrong
value is set aside, its default stands in, and the tree is looked at again: the
operator is told everything at once.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from sidecar.config import describe
from sidecar.config.describe import Place
from sidecar.config.problem import Path, Problem, got

SectionT = TypeVar("SectionT", bound=BaseModel)
_OURS = "config_problem"
_ROUNDS = 20


class InvalidTreeError(Exception):
    """The tree is no config; `problems` says why, in the order of the checks."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def validate(
    root: type[SectionT], tree: Mapping[str, Any], hidden: Mapping[Path, str] | None = None
) -> SectionT:
    """The section made from `tree`; `InvalidTreeError` with all its problems.

    `hidden` maps paths whose values must not be shown to words that stand for them.
    """
    rest, problems = copy.deepcopy(dict(tree)), list[Problem]()
    for _ in range(_ROUNDS):
        try:
            section = root.model_validate(rest)
        except ValidationError as error:
            fresh = _fresh(explain(error, root, hidden or {}), problems)
            problems += [problem for _, problem in fresh]
            set_aside = [_set_aside(rest, place) for place, _ in fresh]
            if not any(set_aside):
                break
        else:
            if not problems:
                return section
            break
    raise InvalidTreeError(problems)


def _fresh(
    found: Iterable[tuple[Place, Problem]], known: Iterable[Problem]
) -> list[tuple[Place, Problem]]:
    """What does not only follow from a problem at, above or beneath the same place."""
    fresh: list[tuple[Place, Problem]] = []
    for place, problem in found:
        told = [*known, *(earlier for _, earlier in fresh)]
        if not any(related(problem.path, earlier.path) for earlier in told):
            fresh.append((place, problem))
    return fresh


def related(one: Path, other: Path) -> bool:
    """Whether one path is the other, or lies beneath it."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def refusal(title: str, problems: Iterable[Problem]) -> ValidationError:
    """The error by which a validator tells several problems, each at its own path."""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(_OURS, "{text}", {"text": problem.text}),
            loc=problem.path,
            input=None,
        )
        for problem in problems
    ]
    return ValidationError.from_exception_data(title, lines, hide_input=True)


def explain(
    error: ValidationError, root: type[BaseModel], hidden: Mapping[Path, str]
) -> Iterator[tuple[Place, Problem]]:
    """Each of pydantic's errors in an operator's words, beside its place."""
    for detail in error.errors(include_url=False):
        place = describe.locate(root, detail["loc"])
        if detail["type"].startswith("union_tag"):
            yield place, _wrong_kind(detail, place)
        else:
            yield place, Problem(place.path, _text(detail, place, root, hidden))


def _text(
    detail: ErrorDetails, place: Place, root: type[BaseModel], hidden: Mapping[Path, str]
) -> str:
    match detail["type"]:
        case "config_problem":
            return str(detail["ctx"]["text"])
        case "extra_forbidden":
            return unknown_key(str(place.path[-1]), _siblings(root, detail["loc"]))
        case "missing":
            return f"missing: expected {describe.expected(place.expected)}"
        case _:
            return f"expected {describe.expected(place.expected)}{_got(detail, place, hidden)}"


def _got(detail: ErrorDetails, place: Place, hidden: Mapping[Path, str]) -> str:
    if words := hidden.get(place.path):
        return f", got {words}"
    says = describe.says_of(place.expected)
    # A scalar where a section belongs may be a secret one level too high.
    shy = says.quiet if says else describe.is_mapping(place.expected)
    if (shy and isinstance(detail["input"], str)) or detail["loc"][-1:] == ("[key]",):
        return ""
    return f", got {got(detail['input'])}"


def _wrong_kind(detail: ErrorDetails, place: Place) -> Problem:
    wanted = f"expected one of {', '.join(describe.kinds(place.expected))}"
    given = detail["input"].get("kind") if isinstance(detail["input"], Mapping) else None
    told = f"{wanted}, got {got(given)}" if given is not None else f"missing: {wanted}"
    return Problem((*place.path, "kind"), told)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of a key that nothing knows."""
    return f"unknown key{did_you_mean(key, known)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where something known is near, else nothing."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _siblings(root: type[BaseModel], loc: tuple[str | int, ...]) -> Iterable[str]:
    return describe.fields_of(describe.locate(root, loc[:-1]).expected)


def _set_aside(tree: dict[str, Any], place: Place) -> bool:
    """Take a wrong value out; False where it names what other sections refer to."""
    path = place.path
    if not path or (describe.is_mapping(place.expected) and not _has_default(place)):
        return False
    while path and isinstance(path[-1], int):
        path = path[:-1]
    holder: Any = tree
    for step in path[:-1]:
        holder = holder[step]
    if not isinstance(holder, dict) or path[-1] not in holder:
        return False
    del holder[path[-1]]
    return True


def _has_default(place: Place) -> bool:
    """Whether the sections of that place can stand in for it, untouched."""
    return len(place.path) == 1 and bool(describe.fields_of(place.expected))

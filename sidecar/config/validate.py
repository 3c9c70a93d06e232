"""A tree of plain values to a frozen config, or to the list of all that is wrong with it.

Pydantic stops before the checks across sections while a field is wrong. So a wrong
value is set aside, its default stands in, and the tree is looked at again: the
operator is told everything at once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sidecar.config import describe
from sidecar.config.describe import Place
from sidecar.config.explain import Explainer
from sidecar.config.problem import Path, Problem

SectionT = TypeVar("SectionT", bound=BaseModel)
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
    explainer = Explainer(root, tree, hidden or {})
    rest, problems = copy.deepcopy(dict(tree)), list[Problem]()
    for _ in range(_ROUNDS):
        try:
            section = root.model_validate(rest)
        except ValidationError as error:
            wrong = _tell(explainer, error, problems)
            set_aside = [_set_aside(rest, place) for place in wrong]
            if not any(set_aside):
                break
        else:
            if not problems:
                return section
            break
    raise InvalidTreeError(problems)


def related(one: Path, other: Path) -> bool:
    """Whether one path is the other, or lies beneath it."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _tell(explainer: Explainer, error: ValidationError, problems: list[Problem]) -> list[Place]:
    """Add what is new to the problems; the places of the values that were wrong.

    What stands at, above or beneath a place that was told is taken to follow from that.
    """
    places = []
    for problem, place in explainer.explain(error):
        if not any(related(problem.path, told.path) for told in problems):
            problems.append(problem)
            places += [place] if place else []
    return places


def _set_aside(tree: dict[str, Any], place: Place) -> bool:
    """Take a wrong value out; False where it names what other sections refer to."""
    path = place.path
    if describe.is_mapping(place.expected) and not _has_default(place):
        return False
    while path and isinstance(path[-1], int):
        path = path[:-1]
    holder: Any = tree
    for step in path[:-1]:
        holder = holder[step]
    return isinstance(holder, dict) and holder.pop(path[-1], holder) is not holder


def _has_default(place: Place) -> bool:
    """Whether the sections of that place can stand in for it, untouched."""
    return len(place.path) == 1 and bool(describe.fields_of(place.expected))

"""Pydantic's errors in an operator's words: what was expected, what was given, at which key.

Nothing secret is shown: not a secret's value, not a text where a section belongs (it
may be a secret one level too high), not a value that the environment put in.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from sidecar.config import describe
from sidecar.config.describe import Place
from sidecar.config.problem import Path, Problem, got

_OURS = "config_problem"


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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where something known is near, else nothing."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains errors about a tree of values for the section `root`.

    `hidden` maps paths whose values must not be shown to words that stand for them.
    """

    root: type[BaseModel]
    tree: Mapping[str, Any]
    hidden: Mapping[Path, str] = field(default_factory=dict)

    def explain(self, error: ValidationError) -> Iterator[tuple[Problem, Place | None]]:
        """Each error as a problem, with the place of the value, unless that value is good."""
        for detail in error.errors(include_url=False):
            place = describe.locate(self.root, detail["loc"])
            if detail["type"] == _OURS:
                yield Problem(place.path, str(detail["ctx"]["text"])), None
            elif detail["type"].startswith("union_tag"):
                yield self._wrong_kind(place), place
            else:
                yield Problem(place.path, self._text(detail, place)), place

    def _text(self, detail: ErrorDetails, place: Place) -> str:
        wanted = describe.expected(place.expected)
        if detail["type"] == "extra_forbidden":
            section = describe.locate(self.root, detail["loc"][:-1]).expected
            known = describe.fields_of(section)
            return f"unknown key{did_you_mean(str(place.path[-1]), known)}"
        if detail["type"] == "missing":
            return f"missing: expected {wanted}"
        is_key = detail["loc"][-1:] == (describe.KEY_MARK,)
        return f"expected {wanted}" if is_key else f"expected {wanted}{self._got(place)}"

    def _wrong_kind(self, place: Place) -> Problem:
        wanted = f"expected one of {', '.join(describe.kinds(place.expected))}"
        kind = Place((*place.path, "kind"))
        given = self._given(kind.path) is not None
        return Problem(kind.path, wanted + self._got(kind) if given else f"missing: {wanted}")

    def _got(self, place: Place) -> str:
        if words := self.hidden.get(place.path):
            return f", got {words}"
        given, says = self._given(place.path), describe.says_of(place.expected)
        shy = says.quiet if says else describe.holds_section(place.expected)
        return "" if shy and isinstance(given, str) else f", got {got(given)}"

    def _given(self, path: Path) -> Any:
        """The value as it stands in the tree, before any conversion."""
        node: Any = self.tree
        for step in path:
            try:
                node = node[step]
            except (KeyError, IndexError, TypeError):
                return None
        return node

"""One thing that is wrong with a config, and where in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list places from the top of the config down."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a path; `text` is one line. `where` names the source, if known."""

    path: Path
    text: str
    where: str = ""

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.text}" if self.path else self.text


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: `models.gpt-4o.targets[0].weight`."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{_shown(step)}" for step in path)
    return "".join(parts).removeprefix(".")


def prefixes(path: Path) -> Iterator[Path]:
    """The path itself, then each path above it, the root last."""
    return (path[:length] for length in range(len(path), -1, -1))


def got(value: Any) -> str:
    """A value as an error shows it: one short line whatever it holds."""
    match value:
        case str():
            return json.dumps(value if len(value) <= 60 else f"{value[:57]}...")
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case None | bool() | int() | float():
            return json.dumps(value)[:60]
        case _:
            return f"a {type(value).__name__}"


def _shown(key: str) -> str:
    return key if key.isprintable() and len(key) <= 80 else got(key)

"""Find the config file, read it, and lay the environment over it: plain values, unchecked.

Free of pydantic, so that a probe can learn the admin address in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from sidecar.config import defaults, overrides
from sidecar.config.problem import Path, Problem, dotted, prefixes
from sidecar.errors import ConfigError

DEFAULT_FILE = "sidecar.yaml"
EMBEDDED = "embedded default"


@dataclass(slots=True)
class Tree:
    """Unchecked values, and where each came from."""

    name: str
    values: dict[str, Any]
    lines: Mapping[Path, int] = field(default_factory=dict)
    hidden: Mapping[Path, str] = field(default_factory=dict)
    variables: Mapping[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def told(self, problem: Problem) -> str:
        """The problem as one line that begins with the place to change."""
        return f"{problem.where or self._source(problem.path)}: {problem}"

    def _source(self, path: Path) -> str:
        """The variable or line that says `path`, else what says the nearest thing."""
        beneath = [name for at, name in self.variables.items() if at[: len(path)] == path]
        for above in prefixes(path):
            if above in self.variables:
                return self.variables[above]
            if above in self.lines:
                return f"{self.name}:{self.lines[above]}"
            if above == path and beneath:
                return beneath[0]
        return self.name


def find(path: str | None, environ: Mapping[str, str]) -> FilePath | None:
    """The config file: the one named, `$SIDECAR_CONFIG`, `./sidecar.yaml`, or none."""
    if named := path or environ.get("SIDECAR_CONFIG"):
        return FilePath(named)
    return FilePath(DEFAULT_FILE) if FilePath(DEFAULT_FILE).exists() else None


def read(path: str | None, environ: Mapping[str, str]) -> Tree:
    """The values of the file and the environment; `ConfigError` when they can't be read."""
    tree = _from_file(path, environ)
    tree.values = defaults.completed(tree.values, environ)
    tree.variables, problems = overrides.apply(tree.values, environ)
    tree.problems += problems
    tree.hidden = {
        path: words
        for path, words in tree.hidden.items()
        if not any(above in tree.variables for above in prefixes(path))
    }
    return tree


def _from_file(path: str | None, environ: Mapping[str, str]) -> Tree:
    file = find(path, environ)
    if file is None:
        return Tree(EMBEDDED, {})
    from sidecar.config import source  # noqa: PLC0415 (yaml only where there is a file)

    found = source.read_file(file, environ)
    return Tree(found.name, found.tree, found.lines, found.hidden, problems=found.problems)


def refuse(tree: Tree, problems: Iterable[Problem]) -> ConfigError:
    """The error that tells all problems, one line each, in the order of the file."""
    lines = dict.fromkeys(tree.told(p) for p in sorted(problems, key=lambda p: _order(tree, p)))
    return ConfigError("\n".join(lines))


def _order(tree: Tree, problem: Problem) -> tuple[int, str]:
    line = next((tree.lines[p] for p in prefixes(problem.path) if p in tree.lines), 0)
    return line, dotted(problem.path)

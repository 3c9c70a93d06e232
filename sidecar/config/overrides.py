"""`SIDECAR__CACHE__TTL=1h` over the file's `cache.ttl`.

`__` separates the steps of a key. Names are matched without regard to case and to
anything but letters and digits, since a shell's variable can't hold `gpt-4o`: its
name is `GPT_4O`. A number picks a place of a list. A value that begins like a YAML
list or mapping is one; any other is the text itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sidecar.config.problem import Path, Problem

PREFIX = "SIDECAR__"
_NULL = {"null", "~"}


def names(environ: Mapping[str, str]) -> list[str]:
    """The variables that override something: what lies higher in the tree comes first."""
    found = [name for name in environ if name.upper().startswith(PREFIX)]
    return sorted(found, key=lambda name: (name.count("__"), name))


def apply(
    tree: dict[str, Any], environ: Mapping[str, str]
) -> tuple[dict[Path, str], list[Problem]]:
    """Change the tree; the variables by the paths that they set, and what is wrong with them."""
    origins: dict[Path, str] = {}
    problems: list[Problem] = []
    for name in names(environ):
        try:
            path = _set(tree, name[len(PREFIX) :].split("__"), value_of(environ[name]))
        except ValueError as error:
            problems.append(Problem((), str(error), where=name))
            continue
        if path in origins:
            problems.append(Problem(path, f"{origins[path]} says it too", where=name))
        origins[path] = name
    return origins, problems


def value_of(text: str) -> Any:
    """The value that a variable's text means; `ValueError` when it is no value."""
    if text.lstrip()[:1] in {"[", "{"} or "\n" in text.strip():
        from sidecar.config.source import parse_value  # noqa: PLC0415 (yaml only where needed)

        return parse_value(text)
    return None if text.strip() in _NULL else text


def _set(tree: dict[str, Any], steps: list[str], value: Any) -> Path:
    if not all(steps):
        raise ValueError("expected names between two underscores, as in SIDECAR__CACHE__TTL")
    node: Any = tree
    path: Path = ()
    for number, step in enumerate(steps, start=1):
        key = _key(node, step)
        path = (*path, key)
        if number == len(steps):
            node[key] = value
        else:
            node = _beneath(node, key)
    return path


def _key(node: Any, step: str) -> str | int:
    if isinstance(node, list):
        if step.isascii() and step.isdigit() and int(step) < len(node):
            return int(step)
        raise ValueError(f"{step}: expected a place in a list of {len(node)}")
    near = [key for key in node if _bare(key) == _bare(step)]
    if len(near) > 1:
        raise ValueError(f"{step}: fits both {near[0]} and {near[1]}")
    return near[0] if near else step.lower()


def _beneath(node: Any, key: str | int) -> Any:
    """The mapping or list at a key; a key that is absent, or null, becomes a mapping."""
    inner = node.get(key) if isinstance(node, dict) else node[int(key)]
    if inner is None:
        inner = node[key] = {}
    if not isinstance(inner, dict | list):
        raise ValueError(f"{key} is no mapping")  # noqa: TRY004 (about the text, not our types)
    return inner


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())

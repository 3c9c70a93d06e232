"""YAML text to plain values, with the line of each key and the environment put in.

Stricter than YAML: one document, core types only (`off` is a word, not a truth), no
tags, no duplicate keys, bounded size, depth and number of values, so that neither a
slip nor a hostile file costs more than a line of complaint. Values of the environment
are put in after parsing, so they can't add structure. Free of pydantic: probes use it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from sidecar.config.problem import Path, Problem
from sidecar.config.substitute import Substitution, seal, substitute, unseal
from sidecar.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 100_000
_CORE = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Composes nodes with YAML 1.2's core types, down to a bounded depth."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own interface)
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_CORE + _tag, re.compile(rf"^{_pattern}\Z", re.ASCII), _first)


@dataclass(slots=True)
class Document:
    """What a file says. `hidden` are values from the environment, by the words for them."""

    name: str
    tree: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    hidden: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_file(path: FilePath, environ: Mapping[str, str]) -> Document:
    """The document in a file; `ConfigError` when it can't be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    return read_text(raw, str(path), environ)


def read_text(raw: bytes, name: str, environ: Mapping[str, str]) -> Document:
    """The document in UTF-8 YAML; `ConfigError` when it is none."""
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{name}: larger than {MAX_BYTES} bytes")
    try:
        text, tokens = seal(raw.decode("utf-8-sig"))
        root = _compose(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 at byte {error.start}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}{_why_unparsed(error)}") from None
    return _Reader(name, environ, tokens).document(root)


def parse_value(text: str) -> Any:
    """A value in YAML, without the environment; `ValueError` when it is none."""
    try:
        root = _compose(text)
    except yaml.YAMLError:
        raise ValueError("not valid YAML") from None
    reader = _Reader("", {}, None)
    value = reader.value(root, ()) if root else None
    if reader.into.problems:
        raise ValueError(reader.into.problems[0].text)
    return value


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _why_unparsed(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    why = getattr(error, "problem", None) or getattr(error, "reason", None) or "can't be parsed"
    return f"{line}: not valid YAML: {' '.join(str(why).split())}"


class _Reader:
    """Walks the nodes once and collects values, lines and problems."""

    def __init__(self, name: str, environ: Mapping[str, str], tokens: list[str] | None) -> None:
        self.into = Document(name)
        self._environ = environ
        self._tokens = tokens
        self._left = MAX_VALUES

    def document(self, root: yaml.Node | None) -> Document:
        """The document of a root node, which must be a mapping or nothing."""
        tree = self.value(root, ()) if root is not None else {}
        if isinstance(tree, dict):
            self.into.tree = tree
        elif tree is not None:
            self._problem((), "expected a mapping of settings", root)
        return self.into

    def _problem(self, path: Path, text: str, node: yaml.Node | None) -> None:
        if node is not None:
            self.into.lines.setdefault(path, node.start_mark.line + 1)
        self.into.problems.append(Problem(path, text))

    def value(self, node: yaml.Node, path: Path) -> Any:
        """The plain value of a node and of all beneath it."""
        self._left -= 1
        if self._left < 0 or len(path) > MAX_DEPTH:
            # Aliases can make a small file endless; what is beyond is not looked at.
            if self._left == -1 or self._left >= 0:
                self._problem(path[:2], "too many values or levels (an alias of itself?)", node)
            return None
        match node:
            case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
                return self._mapping(node, path)
            case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
                return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node, path)
            case _:
                self._problem(path, f"the tag {node.tag} is not allowed here", node)
                return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(path, "a key must be a text", key_node)
                continue
            key = unseal(key_node.value, self._tokens or [])
            here = (*path, key)
            if key in found:
                self._problem(here, f"given twice, again in line {_line(key_node)}", key_node)
                continue
            self.into.lines.setdefault(here, _line(key_node))
            found[key] = self.value(value_node, here)
        return found

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        self.into.lines.setdefault(path, _line(node))
        kind = node.tag.removeprefix(_CORE)
        if self._tokens is not None and kind == "str":
            text = unseal(node.value, self._tokens)
            return self._substituted(node, text, path) if "${" in text else text
        try:
            return _plain(kind, node.value)
        except ValueError:
            self._problem(path, f"not a value that is known here ({kind})", node)
            return None

    def _substituted(self, node: yaml.ScalarNode, text: str, path: Path) -> str | None:
        result = substitute(text, self._environ)
        for why in result.problems:
            self._problem(path, why, node)
        if result.used:
            self.into.hidden[path] = f"the value of {', '.join(result.used)}"
        return _as_null(result) if node.style is None else result.text


def _as_null(result: Substitution) -> str | None:
    """A bare `${VAR:-}` or `${VAR:-null}` that falls back means: not given."""
    return None if result.whole_default and result.text in {"", "~", "null"} else result.text


def _plain(kind: str, text: str) -> Any:
    match kind:
        case "str":
            return text
        case "null":
            return None
        case "bool" if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        case "int" if len(text) < 20:
            return int(text)
        case "float":
            return float(text)
        case _:
            raise ValueError(kind)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

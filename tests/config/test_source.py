"""YAML as it is read here: stricter than YAML, and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.helpers import loaded, refused
from sidecar.config import source


def tree(text: str, **environ: str) -> dict[str, object]:
    """The values of a good text."""
    document = source.read_text(text.encode(), "f", environ)
    assert not document.problems
    return document.tree


def problems(text: str, **environ: str) -> list[str]:
    """The problems of a bad one."""
    return [str(problem) for problem in source.read_text(text.encode(), "f", environ).problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("8080", 8080),
        ("-1", -1),
        ("0.02", 0.02),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("0123", 123),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("0x10", "0x10"),
        ('"8080"', "8080"),
        ("24h", "24h"),
    ],
)
def test_a_plain_value_means_what_it_looks_like(text: str, value: object) -> None:
    """`mode: off` is a word; no dates, no base sixty, no underscores."""
    found = tree(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


def test_mode_off_switches_the_cache_off(tmp_path: Path) -> None:
    """In older YAML `off` is false, which is no mode."""
    assert loaded(tmp_path, "cache: {mode: off, tools: off, verify: off}").cache.mode == "off"


def test_keys_are_texts_whatever_they_look_like() -> None:
    """A model may be called 4, and a rule's key `on`."""
    assert tree("{4: a, true: b, on: c, null: d}") == {
        "4": "a",
        "true": "b",
        "on": "c",
        "null": "d",
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "a: given twice, again in line 3"),
        ("a: {b: 1, b: 2}", "a.b: given twice, again in line 1"),
        ("a: !!python/name:os.system x", "a: not a value that is known here"),
        ("a: !!python/object/apply:os.system [x]", "a: the tag tag:yaml.org,2002:python"),
        ("a: !!set {b}", "a: the tag tag:yaml.org,2002:set is not allowed here"),
        ("a: !!binary aGk=", "a: not a value that is known here (binary)"),
        ("a: !mine b", "a: not a value that is known here (!mine)"),
        ("a: 99999999999999999999", "a: not a value that is known here (int)"),
        ("? [a]\n: b", "a key must be a text"),
        ("[a, b]", "expected a mapping of settings"),
        ("just words", "expected a mapping of settings"),
    ],
)
def test_what_could_mean_something_else_is_refused(text: str, line: str) -> None:
    """Duplicates, tags, odd keys: a config means one thing."""
    assert any(told.startswith(line) for told in problems(text))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2\nb: 3\n", "sidecar.yaml:2: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "sidecar.yaml:2: not valid YAML"),
        ("a: *b\n", "sidecar.yaml:1: not valid YAML: found undefined alias"),
        ("\ta: 1\n", "sidecar.yaml:1: not valid YAML"),
        (b"a: \xff\n", "sidecar.yaml: not UTF-8 at byte 3"),
        (b"a: \x00\n", "sidecar.yaml: not valid YAML"),
        ("a: " + "[" * 5000, "sidecar.yaml:1: not valid YAML: nested too deeply"),
        ("a: " + "x" * 1_000_000, "sidecar.yaml: larger than 1000000 bytes"),
    ],
)
def test_what_is_no_yaml_is_one_line_with_its_place(
    tmp_path: Path, text: str | bytes, line: str
) -> None:
    """Syntax, encoding, depth and size."""
    (told,) = refused(tmp_path, text)
    assert told.startswith(line)


def test_a_byte_order_mark_and_an_empty_file_do_no_harm(tmp_path: Path) -> None:
    """Editors leave the one, and `touch` the other."""
    assert loaded(tmp_path, "\ufefflisten: {port: 81}").listen.port == 81
    assert loaded(tmp_path, "").listen.port == 8080
    assert loaded(tmp_path, "# nothing\ncache:\n").listen.port == 8080


def test_aliases_share_what_was_written_once() -> None:
    """The harmless use of them."""
    assert tree("a: &x {b: 1}\nc: *x") == {"a": {"b": 1}, "c": {"b": 1}}


def test_aliases_can_t_make_a_small_file_endless() -> None:
    """A billion laughs cost a line and no time."""
    laughs = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert any("too many values or levels" in told for told in problems(laughs))


def test_an_alias_of_itself_comes_to_an_end() -> None:
    """YAML allows a loop; a config doesn't."""
    assert problems("a: &a {b: *a}") == ["a.b: too many values or levels (an alias of itself?)"]


def test_each_key_is_known_by_its_line() -> None:
    """Lists and nested keys too."""
    document = source.read_text(b"a:\n  - b: 1\n    c: 2\n  - 5\n", "f", {})
    assert document.lines == {
        ("a",): 1, ("a", 0, "b"): 2, ("a", 0, "c"): 3, ("a", 1): 4,
    }  # fmt: skip

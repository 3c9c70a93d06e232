"""The environment in a config file."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.helpers import loaded, refused
from config.test_source import problems, tree

KEY = "0123"


def test_a_variable_is_put_in_bare_quoted_or_within_a_text() -> None:
    """Wherever a text stands."""
    text = 'a: ${X}\nb: "${X}"\nc: pre-${X}/${Y:-z}\nd: [${X}]\ne: {f: ${X}, g: ${Y:-q r}}\n'
    assert tree(text, X="v") == {
        "a": "v", "b": "v", "c": "pre-v/z", "d": ["v"], "e": {"f": "v", "g": "q r"},
    }  # fmt: skip


def test_a_bare_variable_is_a_number_where_a_number_belongs(tmp_path: Path) -> None:
    """`port: ${PORT}` works, as do truth values."""
    config = loaded(
        tmp_path, "listen: {port: ${PORT}}\ncache: {verify: ${V}}", PORT="8123", V="true"
    )
    assert config.listen.port == 8123


def test_a_secret_that_looks_like_a_number_stays_as_it_is(tmp_path: Path) -> None:
    """0123 is not 123, and certainly not 83."""
    token = loaded(tmp_path, "admin: {token: ${T}}", T=KEY).admin.token
    assert token is not None
    assert token.get_secret_value() == KEY


def test_a_value_can_t_add_structure() -> None:
    """It is put in after parsing, and not looked at again."""
    evil = "x, mode: off}\nadmin: {host: 0.0.0.0} # ${Y}"
    assert tree("a: {b: ${X}}\nc: '${X}'", X=evil, Y="y") == {"a": {"b": evil}, "c": evil}


def test_a_missing_variable_is_told_with_its_place(tmp_path: Path) -> None:
    """File, line, key, variable, once for each."""
    text = "listen:\n  port: ${PORT}\nadmin: {token: ${TOKEN}}\n"
    assert refused(tmp_path, text) == [
        "sidecar.yaml:2: listen.port: the environment variable PORT is not set "
        "(give it, or write ${PORT:-default})",
        "sidecar.yaml:3: admin.token: the environment variable TOKEN is not set "
        "(give it, or write ${TOKEN:-default})",
    ]


def test_a_default_stands_in_for_a_missing_or_empty_variable() -> None:
    """As in a shell."""
    assert tree("a: ${X:-1}\nb: ${Y:-x y}\nc: u${X:-}v", X="") == {"a": "1", "b": "x y", "c": "uv"}


@pytest.mark.parametrize("default", ["", "null", "~"])
def test_an_empty_default_means_not_given(tmp_path: Path, default: str) -> None:
    """`token: ${TOKEN:-}` asks for no token where there is none."""
    assert loaded(tmp_path, f"admin: {{token: ${{T:-{default}}}}}").admin.token is None


def test_an_empty_variable_is_no_absent_one(tmp_path: Path) -> None:
    """A token that came out empty would protect nothing, so it is refused."""
    (told,) = refused(tmp_path, "admin: {token: ${T}}", T="")
    assert told.startswith("sidecar.yaml:1: admin.token: expected a text that is not empty")


def test_a_value_of_the_environment_is_never_shown(tmp_path: Path) -> None:
    """It may be a secret that was put at the wrong key."""
    text = "listen: {port: ${S}}\nproviders: {a: {kind: ${S}}}\ncache: ${S}\nmodels: {m: ${S}}\n"
    told = refused(tmp_path, text, S="s3cr3t")
    assert len(told) == 4
    assert told[0].endswith("got the value of ${S}")
    assert "s3cr3t" not in " ".join(told)


@pytest.mark.parametrize("text", ["a: '${'", "a: '${1}'", "a: '${X:?no}'", "a: '${X'", 'a: "${}"'])
def test_a_malformed_one_is_refused(text: str) -> None:
    """Left as it is it would become part of a key or an address."""
    (told,) = problems(text, X="x")
    assert told.startswith("a: expected ${VAR} or ${VAR:-default}")


def test_two_dollars_write_a_literal_one() -> None:
    """For texts that hold `${` themselves; a lone dollar is just that."""
    assert tree("a: '$${X} $5 $$'", X="x") == {"a": "${X} $5 $$"}


def test_comments_and_keys_are_left_alone() -> None:
    """A variable that only a comment names need not be there."""
    assert tree("# ${NOT_SET}\na: 1 # ${NOT_SET}\n${K}: 2\n") == {"a": 1, "${K}": 2}

"""`sidecar routes`: the table of who answers, and the toggle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.helpers import TOKEN, Result, Running, run, serve

CONFIG = """\
providers: {sim: {kind: simulated}}
models:
  "org/own model":
    targets: [{provider: sim, model: big, weight: 90}, {provider: sim, model: canary, weight: 10}]
    variants: {cheap: [{provider: sim, model: small}]}
    fallbacks: [{provider: sim, model: spare}]
  other: {targets: [{provider: sim, model: other}]}
"""
NAME = "org/own model"


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A sidecar with two models."""
    folder = tmp_path_factory.mktemp("routed")
    (folder / "sidecar.yaml").write_text(CONFIG)
    sidecar = serve(folder, SIDECAR__ADMIN__TOKEN=TOKEN)
    yield sidecar
    sidecar.process.kill()
    sidecar.process.communicate()


@pytest.fixture
def routes(routed: Running, tmp_path: Path) -> Any:
    """A routes command for it."""

    def command(*arguments: str) -> Result:
        admin = ["--admin-url", routed.admin_url, "--token", TOKEN]
        return run("routes", *arguments, *admin, cwd=tmp_path)

    assert command("reset", "*").status == 0
    return command


def test_the_table_has_a_line_for_each_target(routes) -> None:
    """The star stands at the list that answers, the model's name where its lines begin."""
    told = routes("list")
    assert told.status == 0, told.err
    lines = [line.split() for line in told.out.splitlines()]
    assert lines == [
        ["model", "list", "target", "weight", "breaker", "in", "flight"],
        ["org/own", "model", "targets", "*", "sim/big", "90", "closed", "0"],
        ["targets", "*", "sim/canary", "10", "closed"],
        ["cheap", "sim/small", "100", "closed"],
        ["fallbacks", "sim/spare", "closed"],
        ["other", "targets", "*", "sim/other", "100", "closed", "0"],
    ]


def test_a_variant_is_set_and_taken_back(routes) -> None:
    """By the name as it is, slash and blank included; what holds then is printed."""
    told = routes("set", NAME, "cheap")
    assert told.status == 0, told.err
    (line,) = (line for line in told.out.splitlines() if "*" in line)
    assert line.split() == ["cheap", "*", "sim/small", "100", "closed"]
    assert json.loads(routes("list", "--json").out)["routes"][NAME]["active"] == "cheap"
    told = json.loads(routes("reset", NAME, "--json").out)
    assert (told["routes"][NAME]["active"], told["saved"]) == ("targets", True)


def test_a_star_means_all_that_have_the_variant(routes) -> None:
    """The others are left alone."""
    told = json.loads(routes("set", "*", "cheap", "--json").out)
    assert list(told["routes"]) == [NAME]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((NAME, "dear"), "known are: targets, cheap"), (("nobody", "cheap"), "not configured here")],
)
def test_what_is_refused_is_one_line(routes, arguments: tuple[str, str], words: str) -> None:
    """With what would have been known."""
    told = routes("set", *arguments)
    assert (told.status, told.out, told.err.count("\n")) == (1, "", 1)
    assert words in told.err


def test_where_nothing_runs_that_is_said(tmp_path: Path) -> None:
    """In one line, with the address."""
    told = run("routes", "list", "--admin-url", "http://127.0.0.1:1", cwd=tmp_path)
    assert (told.status, told.err) == (1, "no sidecar runs at http://127.0.0.1:1\n")

"""What holds for every command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.helpers import ROOT, run
from sidecar import __version__

COMMANDS = ["serve", "check", "healthcheck", "cache stats", "cache purge", "models list"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_takes_a_config(
    tmp_path: Path, command: str
) -> None:
    """The first thing that a user tries."""
    told = run(*command.split(), "--help", cwd=tmp_path)
    assert told.status == 0
    assert "--config FILE" in told.out
    assert f"sidecar {command}" in told.out.rpartition("example: ")[2]


@pytest.mark.parametrize("group", ["", "cache", "models"])
def test_the_groups_have_help_too(tmp_path: Path, group: str) -> None:
    """They list what is beneath them."""
    told = run(*group.split(), "--help", cwd=tmp_path)
    assert (told.status, "example: sidecar" in told.out) == (0, True)


def test_the_version_is_told(tmp_path: Path) -> None:
    """For bug reports."""
    assert run("--version", cwd=tmp_path).out == f"sidecar {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serv"],
        ["check", "--bogus"],
        ["check", "--js"],
        ["cache"],
        ["cache", "purge"],
        ["cache", "purge", "--all", "--tenant", "a"],
        ["cache", "purge", "--tenant", ""],
    ],
)
def test_bad_usage_is_one_line_and_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    """No screen of usage, no abbreviation that may mean something else tomorrow."""
    told = run(*arguments, cwd=tmp_path)
    assert (told.status, told.out) == (2, "")
    assert told.err.count("\n") == 1
    assert "--help)" in told.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_config_is_exit_2_with_a_line_a_problem(tmp_path: Path, command: str) -> None:
    """Whatever the command; the healthcheck reads only the address that it needs."""
    (tmp_path / "bad.yaml").write_text("admin: {port: x}\ncache: {tll: 1h}\n")
    arguments = [*command.split(), "--config", "bad.yaml"]
    told = run(*arguments, *(["--all"] if "purge" in command else []), cwd=tmp_path)
    assert (told.status, told.out) == (2, "")
    assert told.err.splitlines() == [
        'bad.yaml:1: admin.port: expected a whole number between 0 and 65535, got "x"',
        "bad.yaml:2: cache.tll: unknown key; did you mean ttl?",
    ]


def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path) -> None:
    """`sidecar check | head -1`."""
    with subprocess.Popen(
        [sys.executable, "-m", "sidecar", "check"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_the_command_line_loads_nothing_heavy() -> None:
    """A probe that runs every few seconds in every pod must not cost a core."""
    heavy = "{'numpy', 'aiohttp', 'onnxruntime', 'pydantic', 'yaml', 'asyncio', 'faiss'}"
    code = (
        "import sys, sidecar.cli\n"
        "sidecar.cli.main(['healthcheck', '--admin-url', 'http://127.0.0.1:9'])\n"
        f"print({heavy} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    told = subprocess.check_output(
        command, env={"PYTHONPATH": str(ROOT)}, text=True, stderr=subprocess.DEVNULL
    )
    assert told == "set()\n"

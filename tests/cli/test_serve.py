"""`sidecar serve`: what keeps it from starting is one line and exit 2."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli.helpers import QUIET, Result, run
from sidecar.state import StateDir


def refused(cwd: Path, **environ: str) -> Result:
    """A start that must fail."""
    told = run("serve", cwd=cwd, **{**QUIET, **environ})
    assert (told.status, told.out, told.err.count("\n")) == (2, "", 1)
    return told


@pytest.mark.parametrize("plane", ["listen", "admin"])
def test_a_busy_port_is_named_with_the_key_to_change(tmp_path: Path, plane: str) -> None:
    """Either of the two."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        told = refused(tmp_path, **{f"SIDECAR__{plane.upper()}__PORT": port})
    assert f"127.0.0.1:{port}" in told.err
    assert f"{plane}.port" in told.err


def test_a_state_dir_in_use_is_named_with_its_owner(tmp_path: Path) -> None:
    """One process owns it."""
    with StateDir(tmp_path / ".sidecar"):
        assert "state_dir .sidecar is in use by process" in refused(tmp_path).err


def test_a_state_dir_that_is_not_writable_is_named(tmp_path: Path) -> None:
    """With what to do."""
    told = refused(tmp_path, SIDECAR__STATE_DIR="/proc/sidecar-state")
    assert "state_dir /proc/sidecar-state can't be written" in told.err


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the names that are."""
    assert "minilm-l6-v2-int8" in refused(tmp_path, SIDECAR__EMBEDDING__MODEL="nope").err


def test_a_key_file_that_is_not_there_is_named_with_its_provider(tmp_path: Path) -> None:
    """Before anyone is served, by file, line and key."""
    (tmp_path / "sidecar.yaml").write_text(
        "providers: {mine: {kind: openai, api_key_file: /absent/key}}\n"
        "models: {m: {targets: [{provider: mine, model: m}]}}\n"
    )
    assert refused(tmp_path).err == (
        "sidecar.yaml:1: providers.mine.api_key_file: /absent/key can't be read:"
        " No such file or directory\n"
    )

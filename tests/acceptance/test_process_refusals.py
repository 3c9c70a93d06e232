"""What keeps the process from starting: one line that says what and what to do, and exit 2."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .running import PATIENCE_S, ROOT, Provider, Sidecar, config_for


def refusal(folder: Path, config: Any, root: Path = ROOT) -> str:
    """The one line of a start that fails; the package is taken from `root`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "sidecar.yaml"
    file.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "serve", "--config", str(file)],
        cwd=folder,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("plane", ["listen", "admin"])
def test_a_busy_port_is_told_with_the_key_to_change(
    shared_provider: Provider, tmp_path: Path, plane: str
) -> None:
    """On either plane."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = refusal(tmp_path, config_for(shared_provider, tmp_path, {plane: {"port": port}}))
    assert f"127.0.0.1:{port}" in said
    assert f"{plane}.port" in said


def test_an_address_that_is_not_ours_is_told(shared_provider: Provider, tmp_path: Path) -> None:
    """Nothing listens on another machine's."""
    listen = {"host": "192.0.2.1", "port": 0}
    said = refusal(tmp_path, config_for(shared_provider, tmp_path, {"listen": listen}))
    assert "192.0.2.1" in said


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("listen: {port: high}\n", ("sidecar.yaml:1", "listen.port")),
        ("cache:\n  ttl: soon\n", ("sidecar.yaml:2", "cache.ttl")),
        ("cach: {}\n", ("sidecar.yaml:1", "cach")),
        ("listen: [\n", ("sidecar.yaml",)),
        ("- a list\n", ("sidecar.yaml",)),
        ("models: {m: {targets: [{provider: none, model: m}]}}\n", ("targets[0].provider",)),
    ],
    ids=["wrong", "wrong unit", "unknown key", "no YAML", "no mapping", "no such provider"],
)
def test_a_bad_config_is_told_by_file_line_and_key(
    tmp_path: Path, config: str, words: tuple[str, ...]
) -> None:
    """With what was expected."""
    said = refusal(tmp_path, config)
    assert all(word in said for word in words), said


def test_a_state_dir_that_can_t_be_written_is_told(
    shared_provider: Provider, tmp_path: Path
) -> None:
    """Here one in a place where nobody may make a folder."""
    changes = {"state_dir": "/proc/sidecar"}
    said = refusal(tmp_path, config_for(shared_provider, tmp_path, changes))
    assert "/proc/sidecar" in said
    assert "state_dir" in said


def test_a_state_dir_that_is_a_file_is_told(shared_provider: Provider, tmp_path: Path) -> None:
    """It is not replaced."""
    file = tmp_path / "state"
    file.write_text("mine")
    said = refusal(tmp_path / "run", config_for(shared_provider, tmp_path, {}))
    assert str(file) in said
    assert file.read_text() == "mine"


def test_a_state_dir_in_use_is_told_with_who_uses_it(running: Sidecar, tmp_path: Path) -> None:
    """Its pid and both its addresses; it goes on as if nothing had been."""
    said = refusal(tmp_path, dict(running.config))
    assert f"process {running.process.popen.pid} " in said
    assert running.admin_url in said
    assert running.url.removesuffix("/v1") in said
    assert running.ask("Are you still there?").status == 200


def test_a_unix_socket_that_can_t_be_made_is_told(
    shared_provider: Provider, tmp_path: Path
) -> None:
    """By its key."""
    listen = {"port": 0, "unix_socket": "/proc/sidecar.sock"}
    said = refusal(tmp_path, config_for(shared_provider, tmp_path, {"listen": listen}))
    assert "listen.unix_socket" in said


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A copy of both packages that may be spoiled."""
    root = tmp_path_factory.mktemp("installed")
    for package in ("sidecar", "index"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("*.pyc"))
    return root


def weights(root: Path) -> Path:
    """The shipped model's folder in a copy."""
    return next((root / "sidecar" / "embed" / "weights").glob("*/manifest.json")).parent


@pytest.mark.parametrize("suffix", [".onnx", ".json"])
def test_a_weight_file_that_was_changed_is_told(
    shared_provider: Provider, tmp_path: Path, installed: Path, suffix: str
) -> None:
    """One flipped bit, in the weights or in the tokenizer; it is never used all the same."""
    names = json.loads((weights(installed) / "manifest.json").read_text())["files"]
    file = weights(installed) / next(name for name in names if name.endswith(suffix))
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    try:
        said = refusal(tmp_path, config_for(shared_provider, tmp_path, {}), installed)
    finally:
        file.write_bytes(whole)
    assert str(file) in said
    assert "reinstall" in said


def test_a_weight_file_that_is_missing_is_told(
    shared_provider: Provider, tmp_path: Path, installed: Path
) -> None:
    """As an install that was broken off leaves it."""
    names = json.loads((weights(installed) / "manifest.json").read_text())["files"]
    file = weights(installed) / next(name for name in names if name.endswith(".onnx"))
    aside = file.rename(tmp_path / "aside")
    try:
        said = refusal(tmp_path, config_for(shared_provider, tmp_path, {}), installed)
    finally:
        aside.rename(file)
    assert str(file) in said
    assert "reinstall" in said


def test_a_failed_start_leaves_the_state_dir_free(
    shared_provider: Provider, serve: Callable[..., Sidecar], tmp_path: Path, installed: Path
) -> None:
    """The lock goes with the process that failed."""
    state = {"state_dir": str(tmp_path / "state")}
    unusable = {**state, "embedding": {"model": "none"}}
    refusal(tmp_path, config_for(shared_provider, tmp_path, unusable))
    assert serve(**state).ask("Is it mine now?").status == 200

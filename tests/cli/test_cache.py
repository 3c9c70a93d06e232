"""`sidecar cache stats` and `sidecar cache purge`, with a sidecar and without."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from cli.helpers import TOKEN, Result, Running, run, serve
from sidecar.state import StateDir


def with_token(running: Running, cwd: Path, *arguments: str) -> Result:
    """A cache command for the running sidecar."""
    admin = ["--admin-url", running.admin_url, "--token", TOKEN]
    return run("cache", *arguments, *admin, cwd=cwd)


def as_json(told: Result) -> Any:
    """What a good command printed for machines."""
    assert told.status == 0, told.err
    return json.loads(told.out)


def test_stats_are_the_running_sidecar_s(running: Running, tmp_path: Path) -> None:
    """As its status tells them."""
    running.ask("How tall is the Eiffel tower?", "stats")
    assert as_json(with_token(running, tmp_path, "stats", "--json"))["entries"] >= 1


def test_stats_are_readable(running: Running, tmp_path: Path) -> None:
    """A line a figure, sizes with their unit."""
    shown = dict(
        line.split("  ", 1) for line in with_token(running, tmp_path, "stats").out.splitlines()
    )
    assert shown["entries"].strip().isdigit()
    assert shown["memory bytes"].split()[1] in {"B", "KiB", "MiB"}
    assert shown["store ok"].strip() == "yes"


def test_a_purge_forgets_what_it_names_and_nothing_else(running: Running, tmp_path: Path) -> None:
    """A dry run only counts."""
    for tenant in ("red", "blue"):
        running.ask("How deep is the sea?", tenant)

    def purge(*arguments: str) -> dict[str, Any]:
        return dict(as_json(with_token(running, tmp_path, "purge", "--json", *arguments)))

    assert purge("--tenant", "red", "--dry-run") == {"purged": 0, "matched": 1, "dry_run": True}
    assert purge("--tenant", "red") == {"purged": 1, "matched": 1, "dry_run": False}
    assert purge("--tenant", "red")["matched"] == 0
    assert purge("--tenant", "blue")["matched"] == 1


def test_a_purge_says_how_many(running: Running, tmp_path: Path) -> None:
    """In words."""
    running.ask("How wide is the river?", "words")
    arguments = ("purge", "--tenant", "words")
    told = [
        with_token(running, tmp_path, *arguments, *more).out for more in (["--dry-run"], [], [])
    ]
    assert told == ["1 entry would be purged\n", "1 entry purged\n", "0 entries purged\n"]


@pytest.mark.parametrize("selector", ["tenant", "tag", "model", "prompt", "user", "entry"])
def test_every_selector_is_the_admin_plane_s(
    running: Running, tmp_path: Path, selector: str
) -> None:
    """It accepts each by the same name."""
    told = with_token(running, tmp_path, "purge", f"--{selector}", "nobody", "--json")
    assert as_json(told)["matched"] == 0


def test_the_token_may_come_from_the_environment_or_the_config(
    running: Running, tmp_path: Path
) -> None:
    """So that it stands in no list of processes."""
    port = running.admin_url.rpartition(":")[2]
    url = ["--admin-url", running.admin_url]
    config = {"SIDECAR__ADMIN__PORT": port, "SIDECAR__ADMIN__TOKEN": TOKEN}
    assert run("cache", "stats", *url, cwd=tmp_path, SIDECAR_ADMIN_TOKEN=TOKEN).status == 0
    assert run("cache", "stats", cwd=tmp_path, **config).status == 0


def test_the_config_s_token_goes_to_the_config_s_address_alone(
    running: Running, tmp_path: Path
) -> None:
    """Another address is another sidecar's, and has no right to it."""
    url = ["--admin-url", running.admin_url]
    told = run("cache", "stats", *url, cwd=tmp_path, SIDECAR__ADMIN__TOKEN=TOKEN)
    assert told.status == 2


@pytest.mark.parametrize("token", [[], ["--token", "wrong"]])
def test_a_wrong_token_is_one_line(running: Running, tmp_path: Path, token: list[str]) -> None:
    """That says what to give."""
    told = run("cache", "stats", "--admin-url", running.admin_url, *token, cwd=tmp_path)
    assert (told.status, told.err) == (
        2,
        f"{running.admin_url} wants another token: give --token or SIDECAR_ADMIN_TOKEN\n",
    )


def test_nobody_at_a_given_address_is_an_error(tmp_path: Path) -> None:
    """Another sidecar was meant: the files here are not its."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    (tmp_path / ".sidecar").mkdir()
    told = run("cache", "purge", "--all", "--admin-url", url, cwd=tmp_path)
    assert (told.status, told.err) == (1, f"no sidecar runs at {url}\n")


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A folder with the state of a sidecar that ran, and no longer does."""
    sidecar = serve(tmp_path)
    for tenant in ("red", "blue"):
        sidecar.ask("How high is the moon?", tenant)
    sidecar.process.send_signal(signal.SIGINT)
    sidecar.process.communicate(timeout=20)
    return tmp_path


@pytest.fixture
def free_port() -> str:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def test_without_a_sidecar_the_files_are_opened(stopped: Path, free_port: str) -> None:
    """And stderr says so."""
    told = run("cache", "stats", "--json", cwd=stopped, SIDECAR__ADMIN__PORT=free_port)
    assert as_json(told)["entries"] == 2
    assert told.err == (
        f"no sidecar runs at http://127.0.0.1:{free_port}: opening .sidecar itself\n"
    )


def test_without_a_sidecar_a_purge_is_kept(stopped: Path, free_port: str) -> None:
    """What is forgotten is gone from disk."""
    environ = {"SIDECAR__ADMIN__PORT": free_port}
    purge = ("cache", "purge", "--tenant", "red", "--json")
    assert as_json(run(*purge, "--dry-run", cwd=stopped, **environ))["matched"] == 1
    assert as_json(run(*purge, cwd=stopped, **environ))["purged"] == 1
    left = as_json(run("cache", "stats", "--json", cwd=stopped, **environ))
    assert left["entries"] == 1


def test_files_that_a_process_owns_are_left_alone(tmp_path: Path, free_port: str) -> None:
    """It may listen elsewhere: the refusal tells where."""
    with StateDir(tmp_path / ".sidecar", ["http://127.0.0.1:1"]):
        told = run("cache", "stats", cwd=tmp_path, SIDECAR__ADMIN__PORT=free_port)
    assert told.status == 2
    assert "is in use by process" in told.err
    assert "(http://127.0.0.1:1)" in told.err


def test_without_files_nothing_is_made(tmp_path: Path, free_port: str) -> None:
    """Most likely the folder is the wrong one."""
    told = run("cache", "stats", cwd=tmp_path, SIDECAR__ADMIN__PORT=free_port)
    assert (told.status, told.out, told.err.count("\n")) == (2, "", 1)
    assert "there is no state_dir .sidecar" in told.err
    assert not (tmp_path / ".sidecar").exists()

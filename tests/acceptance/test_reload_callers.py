"""Who may ask, how often and as whom: as the newest config has it, from the next request on."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .running import (
    PATIENCE_S,
    ROOT,
    Provider,
    Reply,
    Sidecar,
    config_for,
    send,
    serving,
    until,
)
from .test_reload import reload


@pytest.fixture
def sidecar(provider: Provider, tmp_path: Path) -> Iterator[Sidecar]:
    """Anyone may ask."""
    with serving(provider, tmp_path) as sidecar:
        yield sidecar


def status(sidecar: Sidecar, **headers: str) -> int:
    """Of one call."""
    return sidecar.ask("Who may ask?", headers).status


def test_clients_are_as_the_newest_config_has_them(sidecar: Sidecar) -> None:
    """Named, changed, and any key again."""
    mine, yours = {"Authorization": "Bearer mine"}, {"x-api-key": "yours"}
    assert (status(sidecar), status(sidecar, **mine)) == (200, 200)
    for key, expected in (("mine", (200, 401)), ("yours", (401, 200))):
        assert reload(sidecar, clients=[{"key": key, "tenant": key}]).status == 200
        assert (status(sidecar, **mine), status(sidecar, **yours)) == expected
        assert status(sidecar) == 401
        assert send("GET", f"{sidecar.url}/models").status == 401
    row = sidecar.row(sidecar.ask("Who am I?", yours))
    assert row["tenant"] == "yours"
    reload(sidecar)
    assert status(sidecar) == 200


def test_required_tags_are_as_the_newest_config_has_them(sidecar: Sidecar) -> None:
    """A default is no answer."""
    assert status(sidecar) == 200
    reload(sidecar, tags={"required": ["department"]})
    refused = sidecar.ask("Whose?")
    assert (refused.status, refused.json["error"]["code"]) == (400, "missing_tag")
    assert status(sidecar, **{"x-sidecar-department": "sales"}) == 200


def test_limits_are_as_the_newest_config_has_them(sidecar: Sidecar) -> None:
    """What was counted goes on counting where the same limit stands."""
    limits = [{"match": {"user": "*"}, "requests_per_minute": 2}]
    ann = {"x-sidecar-user": "ann"}
    reload(sidecar, rate_limits=limits)
    assert [status(sidecar, **ann) for _ in range(3)] == [200, 200, 429]
    reload(sidecar, rate_limits=limits, tags={"defaults": {}})
    assert status(sidecar, **ann) == 429
    reload(sidecar)
    assert status(sidecar, **ann) == 200


def embed(sidecar: Sidecar, tenant: str) -> Reply:
    """One embedding."""
    body = {"model": "gpt-4o", "input": ["What is kept?"]}
    return send("POST", f"{sidecar.url}/embeddings", body, {"x-sidecar-tenant": tenant})


def test_a_purge_forgets_answers_wherever_they_are_kept(
    sidecar: Sidecar, provider: Provider
) -> None:
    """Chat, embeddings and answers that wait for their key to come again; others stay."""
    once = {"Idempotency-Key": "k", "Cache-Control": "no-store"}

    def ask(tenant: str) -> list[int]:
        before = provider.calls
        tag = {"x-sidecar-tenant": tenant}
        asked = [
            lambda: sidecar.ask("What is cached?", tag),
            lambda: embed(sidecar, tenant),
            lambda: sidecar.ask("What is kept?", {**once, **tag}),
        ]
        paid = []
        for each in asked:
            assert each().status == 200
            paid.append(provider.calls - before)
            before = provider.calls
        return paid

    assert [ask("a"), ask("b"), ask("a")] == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert sidecar.purge(tenant="a", dry_run=True)["matched"] == 3
    assert sidecar.purge(tenant="a")["purged"] == 3
    assert [ask("a"), ask("b")] == [[1, 1, 1], [0, 0, 0]]


@pytest.fixture
def config(provider: Provider, tmp_path: Path) -> Path:
    """A config file that nobody serves yet."""
    file = tmp_path / "sidecar.yaml"
    tree: dict[str, Any] = config_for(provider, tmp_path, {})
    file.write_text(yaml.safe_dump(tree))
    return file


def test_a_terminal_that_is_closed_ends_what_ran_in_it(config: Path) -> None:
    """SIGHUP then means what it always did; nothing is left behind on the port."""
    ours, theirs = pty.openpty()
    command = f"""
import fcntl, os, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv({sys.executable!r}, [{sys.executable!r}, "-m", "sidecar", "serve", "--config", {str(config)!r}])
"""  # noqa: E501
    process = subprocess.Popen(
        [sys.executable, "-c", command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    os.close(theirs)
    said = b""
    try:
        while b"  try " not in said:
            said += os.read(ours, 4096)
        os.close(ours)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()


def test_the_log_of_a_reload_is_one_line_for_machines(provider: Provider, tmp_path: Path) -> None:
    """A config with many problems too."""
    with serving(provider, tmp_path, log={"format": "json"}) as sidecar:
        assert reload(sidecar, log={"level": "loud"}, models=[], cache=3).status == 400

        def told() -> list[dict[str, Any]]:
            lines = [line for line in sidecar.process.said.splitlines() if line.startswith("{")]
            return [each for each in map(json.loads, lines) if "not reloaded" in each["message"]]

        (line,) = until(told, "a line")
    assert line["level"] == "error"
    assert line["message"].count("sidecar.yaml") == 3

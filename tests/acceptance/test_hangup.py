"""SIGHUP: no end and not forgotten while a process starts, an end when its terminal is gone."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .running import PATIENCE_S, ROOT, Process, Provider, config_for, start, until

SIGHUP_BIT = 1 << (signal.SIGHUP - 1)


@pytest.fixture
def starting(provider: Provider, tmp_path: Path) -> Iterator[Process]:
    """A process that was just started."""
    file = tmp_path / "sidecar.yaml"
    file.write_text(yaml.safe_dump(config_for(provider, tmp_path, {"log": {"format": "json"}})))
    process = start(tmp_path, "sidecar", "serve", "--config", str(file))
    yield process
    process.kill()


def is_caught(process: Process) -> bool:
    """Whether the process has a handler for SIGHUP."""
    told = Path(f"/proc/{process.popen.pid}/status").read_text()
    (line,) = (line for line in told.splitlines() if line.startswith("SigCgt"))
    return bool(int(line.split()[1], 16) & SIGHUP_BIT)


def test_a_signal_during_the_start_is_heard_when_it_is_over(
    starting: Process, tmp_path: Path
) -> None:
    """The process lives, and reads its config again as soon as it can."""
    until(lambda: is_caught(starting), "a handler")
    assert not (tmp_path / "state").exists(), "the handler comes before anything else"
    starting.popen.send_signal(signal.SIGHUP)
    until((tmp_path / "state").exists, "the state folder, after which the models are loaded")
    starting.popen.send_signal(signal.SIGHUP)
    starting.words_after("try")
    until(lambda: "config reloaded (SIGHUP)" in starting.said, "a reload")
    assert starting.popen.poll() is None


def test_a_start_that_nobody_disturbed_reads_its_config_once(starting: Process) -> None:
    """What was not heard is not acted on."""
    starting.words_after("try")
    assert "config reloaded" not in starting.said


def test_a_terminal_that_is_gone_is_the_end(provider: Provider, tmp_path: Path) -> None:
    """As Ctrl-C is; with the terminal still there the same signal is a reload."""
    file, output = tmp_path / "sidecar.yaml", tmp_path / "said"
    file.write_text(yaml.safe_dump(config_for(provider, tmp_path, {"log": {"format": "json"}})))
    ours, theirs = pty.openpty()
    with output.open("wb") as said:
        popen = subprocess.Popen(
            [sys.executable, "-m", "sidecar", "serve", "--config", str(file)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdin=theirs,
            stdout=said,
            stderr=said,
        )
    os.close(theirs)
    process = Process(popen, output)
    try:
        process.words_after("try")
        popen.send_signal(signal.SIGHUP)
        until(lambda: "config reloaded (SIGHUP)" in process.said, "a reload")
        os.close(ours)
        popen.send_signal(signal.SIGHUP)
        assert popen.wait(PATIENCE_S) == 0
    finally:
        process.kill()

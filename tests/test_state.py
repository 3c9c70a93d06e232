"""The state directory: private, writable, owned by one process at a time."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sidecar
from sidecar.errors import ConfigError
from sidecar.state import LOCK_FILE, StateDir

ROOT = Path(sidecar.__file__).parent.parent
HOLD = """
import sys
from sidecar.state import StateDir
with StateDir(sys.argv[1], ["http://127.0.0.1:8080", "http://127.0.0.1:9090"]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns `tmp_path / "state"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "state")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """Prompts and answers are kept there; folders above it are made too."""
    with StateDir(tmp_path / "deep" / "state") as state:
        assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
        assert stat.S_IMODE((state.path / LOCK_FILE).stat().st_mode) == 0o600


def test_a_second_process_is_refused_and_told_the_first(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    """Two writers would spoil it; who is in the way is named."""
    with pytest.raises(ConfigError) as refused:
        StateDir(tmp_path / "state").acquire()
    assert refused.value.message == (
        f"state_dir {tmp_path}/state is in use by process {holder.pid} "
        "(http://127.0.0.1:8080, http://127.0.0.1:9090); "
        "stop it, or give this one a state_dir of its own"
    )


def test_a_refusal_leaves_the_owner_s_name_in_place(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    """The third process is told as well as the second."""
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"process {holder.pid} "):
            StateDir(tmp_path / "state").acquire()


def test_one_process_can_t_own_it_twice(tmp_path: Path) -> None:
    """Two applications in one process are two owners."""
    with (
        StateDir(tmp_path),
        pytest.raises(ConfigError, match=f"is in use by process {os.getpid()};"),
    ):
        StateDir(tmp_path).acquire()


def test_a_killed_owner_leaves_no_lock_behind(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    """The lock is the kernel's; the file that is left says nothing of importance."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "state" / LOCK_FILE).read_text() != ""
    with StateDir(tmp_path / "state"):
        owner = json.loads((tmp_path / "state" / LOCK_FILE).read_text())
    assert owner == {"pid": os.getpid(), "addresses": []}


def test_it_is_free_again_after_a_regular_end(tmp_path: Path) -> None:
    """And after an end by an error; a second release does no harm."""
    state = StateDir(tmp_path)
    with pytest.raises(ZeroDivisionError), state:
        _ = 1 / 0
    state.release()
    with StateDir(tmp_path):
        pass


def test_a_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A command that was started meanwhile may outlive its parent."""
    with StateDir(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with StateDir(tmp_path):
            pass
    finally:
        child.communicate()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "addresses": 1}', "\0" * 5000])
def test_an_unreadable_owner_is_another_process(tmp_path: Path, content: str) -> None:
    """It may just be signing."""
    with StateDir(tmp_path):
        (tmp_path / LOCK_FILE).write_text(content)
        with pytest.raises(ConfigError, match="is in use by another process;"):
            StateDir(tmp_path).acquire()


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    """With a line that says what to do."""
    (tmp_path / "state").write_text("")
    for path in (tmp_path / "state", tmp_path / "state" / "deeper"):
        with pytest.raises(ConfigError, match=r"can't be written: .*; make it writable for"):
            StateDir(path).acquire()


def test_a_place_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    """Before anything else is opened. `/proc` can't be written to, even by root."""
    for path in ("/proc/self", "/proc/sidecar-state"):
        with pytest.raises(ConfigError, match=f"state_dir {path} can't be written"):
            StateDir(path).acquire()


ELSEWHERE = """
import os, sys
from sidecar.errors import ConfigError
from sidecar.state import StateDir
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
try:
    StateDir(".").acquire()
except ConfigError as error:
    print(error)
"""


def test_a_folder_of_someone_else_is_refused_though_its_lock_is_ours(tmp_path: Path) -> None:
    """The lock alone proves nothing: the databases are made in the folder."""
    lock = tmp_path / LOCK_FILE
    lock.touch(mode=0o666)
    lock.chmod(0o666)
    tmp_path.chmod(0o555)
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path)]
    told = subprocess.check_output(command, text=True, env={"PYTHONPATH": str(ROOT)})
    tmp_path.chmod(0o755)
    assert told.startswith("state_dir . can't be written: permission denied; make it writable")


def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    """The lock file is emptied, which must not happen to a file elsewhere."""
    other = tmp_path / "precious"
    other.write_text("kept")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / LOCK_FILE).symlink_to(other)
    with pytest.raises(ConfigError, match="can't be written"):
        StateDir(tmp_path / "state").acquire()
    assert other.read_text() == "kept"

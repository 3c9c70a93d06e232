"""A key in a file: read anew when the file changes, and never lost once it was good."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from sidecar.clock import ManualClock
from sidecar.errors import ConfigError
from sidecar.providers.keys import LOOK_AFTER_S, MAX_BYTES, KeyFile

FIRST, SECOND = "canary-first", "canary-second"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the first key."""
    path = tmp_path / "key"
    path.write_text(f"{FIRST}\n")
    return path


def test_the_key_is_what_the_file_holds_without_its_line_end(file: Path, clock: ManualClock):
    """Editors end a file with one."""
    assert KeyFile(file, clock)() == FIRST


def test_a_changed_file_is_taken_after_a_second(file: Path, clock: ManualClock):
    """Not before: a file is not looked at for every request."""
    key = KeyFile(file, clock)
    file.write_text(SECOND)
    assert key() == FIRST
    clock.advance(LOOK_AFTER_S)
    assert key() == SECOND


def test_a_file_of_the_same_size_and_time_is_another_where_it_was_replaced(
    file: Path, clock: ManualClock, tmp_path: Path
):
    """As a cluster replaces a secret: by a link to another file."""
    key = KeyFile(file, clock)
    fresh, same = tmp_path / "fresh", FIRST.replace("first", "third")
    fresh.write_text(f"{same}\n")
    os.utime(fresh, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    fresh.replace(file)
    clock.advance(LOOK_AFTER_S)
    assert key() == same


@pytest.mark.parametrize("spoil", [lambda f: f.write_text(" \n"), lambda f: f.unlink()])
def test_the_last_good_key_is_kept_with_one_line(file, clock, caplog, spoil):
    """However often it is asked for, and until the file is good again."""
    key = KeyFile(file, clock)
    spoil(file)
    for _ in range(3):
        clock.advance(LOOK_AFTER_S)
        assert key() == FIRST
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    file.write_text(SECOND)
    clock.advance(LOOK_AFTER_S)
    assert key() == SECOND


def test_what_fails_a_second_time_is_told_a_second_time(file, clock, caplog):
    """A complaint is about one state of the file, not about all to come."""
    key = KeyFile(file, clock)
    for _ in range(2):
        file.unlink()
        clock.advance(LOOK_AFTER_S)
        key()
        file.write_text(SECOND)
        clock.advance(LOOK_AFTER_S)
        key()
    assert [r.levelno for r in caplog.records].count(logging.WARNING) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"two\nlines", "holds no key"),
        (b"caf\xc3\xa9", "holds no key"),
        (b"with space", "holds no key"),
        (b"k" * (MAX_BYTES + 1), "holds no key"),
    ],
)
def test_a_start_without_a_key_is_refused(file: Path, clock, content: bytes, words: str):
    """With the file named and its content not shown."""
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as refused:
        KeyFile(file, clock)
    assert str(file) in refused.value.message
    assert "two" not in refused.value.message


def test_a_file_that_can_not_be_read_is_told_with_the_reason(tmp_path: Path, clock):
    """A folder, or nothing at all."""
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        KeyFile(tmp_path / "absent", clock)
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        KeyFile(tmp_path, clock)


def test_no_key_is_ever_shown(file: Path, clock, caplog):
    """Neither in a repr nor in the log."""
    caplog.set_level(logging.DEBUG)
    key = KeyFile(file, clock)
    file.write_text(SECOND)
    clock.advance(LOOK_AFTER_S)
    key()
    told = repr(key) + caplog.text
    assert "the new one is used" in told
    assert FIRST not in told
    assert SECOND not in told


def test_a_file_is_looked_at_once_a_second(file: Path, clock: ManualClock):
    """However long ago the start was."""
    key = KeyFile(file, clock)
    clock.advance(3600)
    assert key() == FIRST
    file.write_text(SECOND)
    clock.advance(LOOK_AFTER_S / 2)
    assert key() == FIRST
    clock.advance(LOOK_AFTER_S / 2)
    assert key() == SECOND

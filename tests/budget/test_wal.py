"""A log that was damaged in its midst is told from one that a crash tore at its end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.budget.wal import is_broken

FRAME = 4096 + 24


def write(path: Path, rows: int, *, checkpointed: int = 0) -> bytes:
    """The log of a database after so many commits, the first of them moved to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE lines (line TEXT)")
        for number in range(rows):
            connection.execute("INSERT INTO lines VALUES (?)", (f"{number}" * 100,))
            if number + 1 == checkpointed:
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        return path.with_name(path.name + "-wal").read_bytes()


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> bytes:
    """Eight commits of one page, behind those that made the table."""
    return write(tmp_path_factory.mktemp("log") / "a.sqlite", 8)


def test_a_sound_log_is_sound(log):
    """As the process left it, and an empty one."""
    assert not is_broken(log)
    assert not is_broken(b"")


def test_zeros_are_a_log_that_was_made_longer(log):
    """Of their own and behind commits; in the place of the first commits they are damage."""
    assert not is_broken(bytes(8 * FRAME))
    assert not is_broken(log + bytes(8 * FRAME))
    assert is_broken(bytes(2 * FRAME) + log[2 * FRAME :])


def test_what_is_left_of_an_older_log_is_no_damage(tmp_path):
    """A log begins anew over the old one, whose frames stay behind it."""
    log = write(tmp_path / "a.sqlite", 12, checkpointed=9)
    assert len(log) > 5 * FRAME
    assert not is_broken(log)


def test_a_log_that_is_cut_anywhere_is_a_crash(log):
    """In the midst of a frame or between two."""
    for length in range(0, len(log), 211):
        assert not is_broken(log[:length])


def test_a_flipped_bit_is_found_wherever_commits_follow(log):
    """In the head, in a frame's head or in its page."""
    for place in range(0, len(log) - 2 * FRAME, 97):
        changed = log[:place] + bytes([log[place] ^ 1]) + log[place + 1 :]
        assert is_broken(changed), place


def test_a_last_commit_that_is_torn_is_a_crash(log):
    """Its pages may reach the disk in any order when the power goes."""
    torn = log[:-FRAME] + log[-FRAME:-4096] + bytes(4096)
    assert not is_broken(torn)

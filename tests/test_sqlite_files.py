"""Files of the state directory: private, set aside when damaged, deleted whole."""

import sqlite3
from contextlib import closing

import pytest

from sidecar.sqlite_files import (
    file_bytes,
    is_damage,
    make_private,
    remove,
    remove_set_aside,
    set_aside,
)

NOW = 1_700_000_000.7
ALL = ("", "-wal", "-shm")


@pytest.fixture
def path(tmp_path):
    """A file of eight bytes with its journals."""
    path = tmp_path / "f.sqlite"
    for suffix in ALL:
        (tmp_path / f"f.sqlite{suffix}").write_bytes(b"8 bytes!")
    return path


def complaint(connection: sqlite3.Connection) -> sqlite3.Error:
    """What it says when it is asked for a table that it has not."""
    with pytest.raises(sqlite3.DatabaseError) as caught:
        connection.execute("SELECT * FROM entries")
    return caught.value


def names(path) -> list[str]:
    """What lies in its directory."""
    return sorted(file.name for file in path.parent.iterdir())


def test_a_new_file_belongs_to_its_owner(tmp_path):
    """Nobody else may read it."""
    make_private(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_could_read_is_closed_to_them(path):
    """Whatever made it; its content stays."""
    path.chmod(0o644)
    make_private(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"8 bytes!"


def test_no_link_is_followed(tmp_path, path):
    """It could lead to a file that is not ours to change."""
    link = tmp_path / "link"
    link.symlink_to(path)
    path.chmod(0o644)
    with pytest.raises(OSError, match="symbolic link"):
        make_private(link)
    assert path.stat().st_mode & 0o777 == 0o644


def test_journals_go_with_their_file(path, caplog):
    """A journal is never left behind to be played into the fresh file; one line says so."""
    set_aside(path, NOW, "a test")
    assert names(path) == [f"f.sqlite.damaged-1700000000{suffix}" for suffix in sorted(ALL)]
    assert len(caplog.records) == 1
    assert "a test" in caplog.text


def test_only_the_newest_that_was_set_aside_is_kept(path):
    """Damage that comes again and again doesn't fill the disk."""
    for turn in range(3):
        path.write_bytes(str(turn).encode())
        set_aside(path, NOW + turn, "a test")
    assert names(path) == ["f.sqlite.damaged-1700000002"]
    assert (path.parent / "f.sqlite.damaged-1700000002").read_bytes() == b"2"


def test_what_was_set_aside_can_be_deleted(path):
    """All of it, and nothing else."""
    set_aside(path, NOW, "a test")
    path.write_bytes(b"new")
    remove_set_aside(path)
    assert names(path) == ["f.sqlite"]


def test_a_file_is_deleted_whole(path):
    """Doing so twice does no harm."""
    remove(path)
    remove(path)
    assert names(path) == []


def test_journals_count_as_bytes(path):
    """They are on the disk as well; what is not there is nothing."""
    assert file_bytes(path) == 24
    (path.parent / "f.sqlite-wal").unlink()
    assert file_bytes(path) == 16
    assert file_bytes(path.parent / "absent") == 0


def test_damage_is_what_sqlite_calls_so(tmp_path):
    """No database at all is; a table that is not there, or an error without a code, is not."""
    (tmp_path / "noise").write_bytes(b"no database at all " * 500)
    with closing(sqlite3.connect(tmp_path / "sound")) as sound:
        absent = complaint(sound)
    with closing(sqlite3.connect(tmp_path / "noise")) as noise:
        damaged = complaint(noise)
    assert is_damage(damaged)
    assert not is_damage(absent)
    assert not is_damage(sqlite3.OperationalError("disk full"))

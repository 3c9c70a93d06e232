import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.cache import database
from sidecar.cache.database import open_reader, open_writer
from sidecar.errors import ConfigError
from tests.cache.making import NOW


def _open(path: Path) -> sqlite3.Connection:
    return open_writer(path, wal_pages=100, now=NOW)


def _set_aside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob("*.damaged-*"))


def test_new_file_belongs_to_its_owner(path: Path) -> None:
    """Nobody else may read the file, its journals or its directory."""
    with closing(_open(path)) as connection:
        connection.execute("DELETE FROM entries")
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3


def test_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    """A file left open to others by whatever made it is not left so."""
    _open(path).close()
    path.chmod(0o644)
    _open(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_settings_are_in_force(path: Path) -> None:
    """Journal, synchronisation, overwriting and page reuse are as the promises need them."""
    with closing(_open(path)) as connection:
        values = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "secure_delete", "auto_vacuum")
        }
    expected = {"journal_mode": "wal", "synchronous": 1, "secure_delete": 1, "auto_vacuum": 2}
    assert values == expected


def test_sound_file_is_kept(path: Path) -> None:
    """Opening a second time changes nothing."""
    _open(path).close()
    _open(path).close()
    assert _set_aside(path) == []


@pytest.mark.parametrize("content", [b"not a database", b"x" * 5000])
def test_foreign_file_is_set_aside(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What is no database gets another name, with one line, and a fresh file serves."""
    path.parent.mkdir()
    path.write_bytes(content)
    with closing(_open(path)) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (0,)
    (name,) = _set_aside(path)
    assert name == f"cache.sqlite.damaged-{int(NOW)}"
    assert path.with_name(name).read_bytes() == content
    assert len(caplog.records) == 1


def test_newer_version_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file of a later sidecar is not guessed at."""
    with closing(_open(path)) as connection:
        connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    _open(path).close()
    assert _set_aside(path) == [f"cache.sqlite.damaged-{int(NOW)}"]
    assert "version 2" in caplog.text


def test_other_tables_are_set_aside(path: Path) -> None:
    """A table that isn't ours to the letter is not read."""
    with closing(_open(path)) as connection:
        connection.execute("ALTER TABLE entries RENAME COLUMN value TO worth")
    _open(path).close()
    assert len(_set_aside(path)) == 1


def test_broken_structure_is_set_aside(path: Path) -> None:
    """Damage that only the whole-file check sees is seen."""
    with closing(_open(path)) as connection:
        connection.executemany(
            "INSERT INTO vectors VALUES (?, x'00', x'00', 'm', x'00', zeroblob(3000))",
            [(row,) for row in range(50)],
        )
    raw = bytearray(path.read_bytes())
    raw[20 * 4096 : 21 * 4096] = bytes(4096)
    path.write_bytes(raw)
    _open(path).close()
    assert len(_set_aside(path)) == 1


def test_only_the_newest_is_kept(path: Path) -> None:
    """Damage that comes again and again doesn't fill the disk."""
    path.parent.mkdir()
    for turn in range(3):
        path.write_bytes(b"not a database")
        open_writer(path, wal_pages=100, now=NOW + turn).close()
    assert _set_aside(path) == [f"cache.sqlite.damaged-{int(NOW) + 2}"]


def test_place_that_is_a_directory_is_refused(path: Path) -> None:
    """Where a file can't be made, the error is one line that names the place."""
    path.mkdir(parents=True)
    with pytest.raises(ConfigError) as caught:
        _open(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_place_beneath_a_file_is_refused(tmp_path: Path) -> None:
    """A directory that can't be made is the operator's to see to."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't write the cache"):
        _open(tmp_path / "file" / "cache.sqlite")


def test_reader_makes_no_file(path: Path) -> None:
    """A file that vanished is an error, not an empty cache."""
    path.parent.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        open_reader(path)
    assert not path.exists()


def test_reader_cannot_write(path: Path) -> None:
    """The reading connection can't change anything."""
    _open(path).close()
    with closing(open_reader(path)) as reader, pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM entries")

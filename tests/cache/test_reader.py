import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.cache import statements
from sidecar.cache.commands import Save
from sidecar.cache.database import open_writer
from sidecar.cache.reader import Flaw, Owner, Reader
from sidecar.cache.slots import Listed, Place
from sidecar.sqlite_files import set_aside
from tests.cache.making import NOW, entry, vector

PLACE = Place(1, entry().key)


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A file that holds one entry."""
    with closing(open_writer(path, wal_pages=100, now=NOW)) as opened:
        statements.commit(opened, [Save(1, entry(), vector().tobytes(), 77)], "mini")
        yield opened


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    """Reads that file."""
    made = Reader(path)
    yield made
    made.close()


@pytest.mark.usefixtures("connection")
def test_entry_is_read(reader: Reader) -> None:
    """What was written is read."""
    assert reader.entry(PLACE, 0) == entry()


@pytest.mark.usefixtures("connection")
def test_absent_entry_is_missing(reader: Reader) -> None:
    """A row that isn't there is told apart from one that is broken."""
    assert reader.entry(Place(2, entry().key), 0) is Flaw.MISSING


@pytest.mark.parametrize(
    "change",
    ["body = x'00'", "question = CAST(x'ff' AS TEXT)", "key = 'text'", "value = value + 1"],
)
def test_changed_entry_is_damaged(
    connection: sqlite3.Connection, reader: Reader, change: str
) -> None:
    """Whatever changed in a row, text that is no UTF-8 included, it is damage."""
    connection.execute(f"UPDATE entries SET {change}")  # noqa: S608
    assert reader.entry(PLACE, 0) is Flaw.DAMAGED


def test_vanished_file_is_unreadable(reader: Reader) -> None:
    """A file out of reach is no reason to forget what it holds."""
    assert reader.entry(PLACE, 0) is Flaw.UNREADABLE


@pytest.mark.usefixtures("connection")
def test_directory_lists_entries(reader: Reader) -> None:
    """The directory tells all that memory keeps of an entry."""
    assert list(reader.directory(0)) == [[Listed(*PLACE, entry().expires_at, 500.0, 77)]]


@pytest.mark.parametrize("change", ["key = 'text'", "key = x'00'", "expires_at = 'never'"])
def test_impossible_line_is_left_out(
    connection: sqlite3.Connection, reader: Reader, change: str
) -> None:
    """A line of the directory that can't be true is not taken in."""
    connection.execute(f"UPDATE entries SET {change}")  # noqa: S608
    assert list(reader.directory(0)) == []


def test_last_row_counts_both_tables(connection: sqlite3.Connection, reader: Reader) -> None:
    """A vector that outlived its entry keeps its row from being used again."""
    connection.execute("UPDATE vectors SET row = 9")
    assert reader.last_row(0) == 9


def test_vectors_come_in_chunks(connection: sqlite3.Connection, reader: Reader) -> None:
    """Each chunk goes on where the last one ended, up to a row, within one model."""
    saves = [Save(row, entry(row), b"abcd", 10) for row in range(2, 8)]
    statements.commit(connection, saves, "mini")
    statements.commit(connection, [Save(8, entry(8), b"abcd", 10)], "other")
    first = reader.vectors(0, 100, "mini", 4, 0)
    second = reader.vectors(first.last, 7, "mini", 4, 0)
    assert [row.row for row in first.rows + second.rows] == [1, 2, 3, 4, 5, 6]
    assert reader.vectors(7, 100, "mini", 4, 0).rows == []


def test_vectors_are_read_by_their_rows(connection: sqlite3.Connection, reader: Reader) -> None:
    """Those of one model that are there come in order, damage is named, the rest is left out."""
    saves = [Save(row, entry(row), b"abcd", 10) for row in range(2, 8)]
    statements.commit(connection, saves, "mini")
    statements.commit(connection, [Save(8, entry(8), b"abcd", 10)], "other")
    connection.execute("UPDATE vectors SET vector = x'00' WHERE row = 5")
    chunk = reader.vectors_at([8, 7, 99, 5, 3], "mini", 0)
    assert ([row.row for row in chunk.rows], chunk.damaged, chunk.ok) == ([3, 7], [5], True)


def test_owners_are_read_without_their_vectors(
    connection: sqlite3.Connection, reader: Reader
) -> None:
    """Whose the vectors are is told in parts, within one model; impossible ones are left out."""
    saves = [Save(row, entry(row), b"abcd", 10) for row in range(2, 8)]
    statements.commit(connection, saves, "mini")
    statements.commit(connection, [Save(8, entry(8), b"abcd", 10)], "other")
    connection.execute("UPDATE vectors SET scope = 'text' WHERE row = 4")
    first = reader.owners(1, 100, "mini", 3, 0)
    assert first == [Owner(row, entry(row).key, entry(row).scope) for row in (2, 3, 5)]
    assert [each.row for each in reader.owners(5, 7, "mini", 3, 0)] == [6]


def test_damaged_vector_is_named(connection: sqlite3.Connection, reader: Reader) -> None:
    """A broken vector is told by its row, and doesn't end the chunk."""
    statements.commit(connection, [Save(2, entry("b"), b"abcd", 10)], "mini")
    connection.execute("UPDATE vectors SET vector = x'00' WHERE row = 1")
    chunk = reader.vectors(0, 100, "mini", 4, 0)
    assert ([row.row for row in chunk.rows], chunk.damaged, chunk.last) == ([2], [1], 2)


@pytest.mark.usefixtures("connection")
def test_reader_follows_the_file(reader: Reader, path: Path) -> None:
    """When another file takes the place of the first, it is read from then on."""
    assert reader.entry(PLACE, 0) == entry()
    set_aside(path, NOW, "a test")
    with closing(open_writer(path, wal_pages=100, now=NOW)):
        assert reader.entry(PLACE, 1) is Flaw.MISSING

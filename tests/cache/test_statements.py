import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache import statements
from sidecar.cache.commands import Drop, Forget, Save
from sidecar.cache.database import open_writer
from sidecar.cache.entry import SELECTOR_FIELDS, Selector
from sidecar.cache.slots import Place
from sidecar.domain import Choice, Completion
from tests.cache.making import NOW, entry, vector

WORDS = st.sampled_from(["", "a", "A", "ab", "a@1", "a@", "é", "a\n", "%", "_", "a\0b", "\\n"])


@given(
    st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS, st.lists(WORDS, max_size=2)), max_size=6),
    st.sampled_from(SELECTOR_FIELDS),
    WORDS,
)
def test_sql_selects_what_python_does(
    rows: list[tuple[str, str, str, str, list[str]]], field: str, value: str
) -> None:
    """A selector means the same on disk and in memory."""
    entries = {
        row: entry(
            row, id=tenant or "-", tenant=tenant, user=user, prompt=prompt, model=model,
            answered_model=user, tags=tuple(tags),
        )
        for row, (tenant, user, prompt, model, tags) in enumerate(rows, start=1)
    }  # fmt: skip
    selector = Selector(field, value)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "c.sqlite"
        with closing(open_writer(path, wal_pages=100, now=NOW)) as connection:
            statements.commit(
                connection, [Save(row, each, None, 10) for row, each in entries.items()], "m"
            )
            found = statements.find(connection, selector, below=100)
    assert found == [Place(row, e.key) for row, e in entries.items() if selector.matches(e)]


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A file of its own."""
    with closing(open_writer(path, wal_pages=100, now=NOW)) as opened:
        yield opened


def test_entry_and_vector_come_and_go_together(connection) -> None:
    """Saving writes both rows, dropping deletes both."""
    save = Save(1, entry(), vector().tobytes(), 10)
    outcome = statements.commit(connection, [save], "m")
    assert outcome.saved == [Place(1, entry().key)]
    assert (_count(connection, "entries"), _count(connection, "vectors")) == (1, 1)
    statements.commit(connection, [Drop(1)], "m")
    assert (_count(connection, "entries"), _count(connection, "vectors")) == (0, 0)


def test_replacing_deletes_the_older(connection) -> None:
    """In one transaction the older row goes and the newer comes."""
    statements.commit(connection, [Save(1, entry(), vector().tobytes(), 10)], "m")
    statements.commit(connection, [Save(2, entry(), None, 10, replaces=1)], "m")
    assert connection.execute("SELECT row FROM entries").fetchall() == [(2,)]
    assert _count(connection, "vectors") == 0


def test_failure_undoes_the_group(connection) -> None:
    """Of a group that fails, nothing is kept."""
    connection.execute("DROP TABLE vectors")
    with pytest.raises(sqlite3.OperationalError):
        statements.commit(
            connection, [Save(1, entry(), None, 10), Save(2, entry("b"), b"v", 10)], "m"
        )
    assert not connection.in_transaction
    assert _count(connection, "entries") == 0


def test_entry_that_cannot_be_written_holds_up_nobody(connection) -> None:
    """Text without a UTF-8 form is left out, and the rest of its group committed."""
    poison = entry("p", completion=Completion("i", 1, "m", (Choice(0, "\ud800", "stop"),)))
    named = entry("q", user="\ud800")
    outcome = statements.commit(
        connection,
        [Save(1, poison, None, 10), Save(2, named, None, 10), Save(3, entry("b"), None, 10)],
        "m",
    )
    assert outcome.saved == [Place(3, entry("b").key)]
    assert outcome.refused == 2


def test_purge_spares_later_rows(connection) -> None:
    """What was put after the purge began is not meant."""
    saves = [Save(row, entry(row), None, 10) for row in (1, 2, 3)]
    forget = Forget(Selector("all"), 3, dry_run=False)
    outcome = statements.commit(connection, [*saves, forget], "m")
    assert [place.row for place in outcome.found[0]] == [1, 2]
    assert connection.execute("SELECT row FROM entries").fetchall() == [(3,)]


def test_dry_run_deletes_nothing(connection) -> None:
    """A dry run finds and leaves."""
    forget = Forget(Selector("all"), 9, dry_run=True)
    outcome = statements.commit(connection, [Save(1, entry(), None, 10), forget], "m")
    assert (len(outcome.found[0]), _count(connection, "entries")) == (1, 1)


def test_selector_without_utf8_finds_nothing(connection) -> None:
    """What could never be written is not looked for."""
    assert statements.find(connection, Selector("user", "\ud800"), 9) == []


def test_freed_pages_are_given_back(connection) -> None:
    """Pages of deleted rows leave the file."""
    saves = [Save(row, entry(row, text="x" * 9000), None, 10) for row in range(1, 50)]
    statements.commit(connection, saves, "m")
    full = statements.used_bytes(connection)
    statements.commit(connection, [Drop(row) for row in range(1, 50)], "m")
    assert statements.free_pages(connection) > 50
    statements.shrink(connection, 1000)
    assert statements.free_pages(connection) == 0
    assert statements.used_bytes(connection) < full / 5

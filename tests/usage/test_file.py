"""The ledger's file: made once, and brought up to date once, whoever comes first."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from sidecar.errors import SidecarError
from sidecar.usage import rows
from sidecar.usage.asking import read_query
from sidecar.usage.file import bring_up_to_date, connected, version_of
from sidecar.usage.reader import usage
from tests.usage.writing import written


def make_first_version(path) -> None:
    """Turn a file into one as the first version left it."""
    with closing(sqlite3.connect(path)) as connection:
        for column in ("cache_write_tokens", "unpriced", "estimated"):
            connection.execute(f"ALTER TABLE requests DROP COLUMN {column}")
        connection.execute("PRAGMA user_version=1")
        connection.commit()


async def test_several_may_bring_a_file_up_to_date_at_once(path, make, make_row):
    """None takes another one's work for damage."""
    await written(make(), make_row(id="old"))
    for _ in range(20):
        make_first_version(path)
        together = Barrier(4)

        def use(_: int, together: Barrier = together) -> int:
            together.wait()
            with connected(path) as connection:
                return len(connection.execute(rows.SELECT, ("old",)).fetchall())

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(use, range(4))) == [1, 1, 1, 1]


async def test_a_newer_file_is_left_alone(path, make, make_row):
    """What it means nobody here knows."""
    await written(make(), make_row(id="new"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={rows.SCHEMA_VERSION + 1}")
    with pytest.raises(SidecarError, match=f"its schema is of version {rows.SCHEMA_VERSION + 1}"):
        bring_up_to_date(path)


def test_what_is_not_there_is_not_made(path):
    """A report leaves nothing behind."""
    bring_up_to_date(path)
    assert not path.exists()


def test_a_file_that_is_only_begun_holds_no_rows(path):
    """It is made empty before its first row comes."""
    path.touch()
    assert usage(path, read_query({}, 0.0))["total"]["requests"] == 0
    bring_up_to_date(path)
    with closing(sqlite3.connect(path)) as connection:
        assert version_of(connection) == rows.SCHEMA_VERSION

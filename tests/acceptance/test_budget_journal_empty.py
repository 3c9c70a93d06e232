"""A journal that was emptied is no new one: nothing is granted again in silence."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .test_budget_journal import refuses, spend


@pytest.mark.parametrize("content", [b"", b"S"])
@pytest.mark.parametrize("keeps_log", [True, False])
def test_an_emptied_journal_is_damaged(tmp_path: Path, content: bytes, keeps_log: bool) -> None:
    """A first start makes the file under another name, so an empty one was never new."""
    asyncio.run(spend(tmp_path / "money.sqlite", 20))
    path = tmp_path / "killed" / "money.sqlite"
    if not keeps_log:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(content)
    assert refuses(path, 20)

"""A file that is locked, gone, damaged or full costs rows, and nothing else."""

import resource
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from sidecar.clock import ManualClock
from sidecar.usage.ledger import RequestLedger
from tests.usage.writing import DAY_S, opened, written

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


async def test_a_locked_file_delays_rows_and_nothing_else(make, make_row, path):
    """Observing and finding go on while another process holds the file."""
    await written(make(), make_row(id="before"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ledger = make()
        ledger.open()
        ledger.observe(make_row(id="a"))
        assert await ledger.find("a")
        other.execute("ROLLBACK")
    await ledger.close()
    assert ledger.dropped == 0
    assert await make().find("a")


async def test_damage_while_rows_are_written_costs_one_batch(make, make_row, path):
    """The next one goes into a new file."""
    ledger = make()
    async with opened(ledger):
        pass
    path.write_bytes(b"x" * 10_000)
    ledger.observe(make_row(id="lost"))
    ledger._write_batch()
    ledger.observe(make_row(id="b"))
    ledger._write_batch()
    assert (ledger.dropped, (await ledger.find("b"))["id"]) == (1, "b")


async def test_a_directory_that_is_not_there_costs_rows_and_nothing_else(tmp_path, make_row):
    """A broken observer is nothing."""
    nowhere = tmp_path / "gone" / "requests.sqlite"
    ledger = RequestLedger(nowhere, ManualClock(), retention_s=DAY_S, max_rows=10)
    await written(ledger, make_row(id="a"))
    assert (ledger.dropped, ledger.failing) == (1, True)
    assert await ledger.find("a") is None


async def test_a_damaged_file_is_set_aside_and_a_new_one_begins(make, make_row, path, caplog):
    """With one line that says where it went; what it held is kept for whoever can read it."""
    path.write_bytes(b"no database at all " * 500)
    ledger = await written(make(), make_row(id="a"))
    (aside,) = path.parent.glob("requests.sqlite.damaged-*")
    assert aside.read_bytes().startswith(b"no database")
    assert f"set aside as {aside.name}" in caplog.text
    assert (ledger.failing, (await ledger.find("a"))["id"]) == (False, "a")


async def test_damage_that_reading_meets_is_set_aside_by_the_next_batch(make, make_row, path):
    """The thread alone moves the file, so that no batch is written into one that is gone."""
    ledger = make()
    path.write_bytes(b"x" * 10_000)
    assert await ledger.find("a") is None
    await written(ledger, make_row(id="a"))
    assert list(path.parent.glob("*.damaged-*"))
    assert (await make().find("a"))["id"] == "a"


async def test_a_file_of_another_version_is_set_aside(make, make_row, path):
    """Rows are never put into columns that mean something else."""
    await written(make(), make_row(id="a"))
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version=99")
    ledger = await written(make(), make_row(id="b"))
    assert (await ledger.find("b"))["id"] == "b"
    assert list(path.parent.glob("*.damaged-*"))


async def test_a_file_without_its_table_is_set_aside(make, make_row, path):
    """Waiting would not bring the table back."""
    await written(make(), make_row(id="a"))
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE requests")
    ledger = await written(make(), make_row(id="b"))
    assert (await ledger.find("b"))["id"] == "b"


@pytest.mark.parametrize("kind", ["cut", "flipped"])
@pytest.mark.parametrize("place", [0, 20, 60, 100, 1000, 4095, 4096, 5000, 9000, 12_300])
async def test_whatever_happens_to_the_file_the_ledger_goes_on(make, make_row, path, kind, place):
    """No crash, no error for who asks, and rows are kept again from the first batch."""
    rows = [make_row(id=str(number), started_at=float(number)) for number in range(40)]
    await written(make(retention_s=1e12), *rows)
    data = bytearray(path.read_bytes())
    place = min(place, len(data) - 1)
    if kind == "cut":
        del data[place:]
    else:
        data[place] ^= 0xFF
    path.write_bytes(data)
    reader = make()
    for row in rows:
        await reader.find(row.id)
    ledger = await written(make(retention_s=1e12), make_row(id="next"))
    assert (await ledger.find("next"))["id"] == "next"


FULL_DISK = """
import asyncio, resource, signal, sys
from dataclasses import replace
from pathlib import Path
from sidecar.clock import ManualClock
from sidecar.domain import Call, ChatRequest, Endpoint
from sidecar.trail import Trail
from sidecar.usage.ledger import RequestLedger

row = Trail(Call("x", Endpoint.CHAT, ChatRequest("m", ())), ManualClock()).close(200)

async def write(count):
    ledger = RequestLedger(Path(sys.argv[1]), ManualClock(0.0), retention_s=1e9, max_rows=10**6)
    ledger.open()
    for number in range(count):
        ledger.observe(row._replace(id=f"{count}-{number}", started_at=0.0, user="u" * 500))
    await ledger.close()
    found = await ledger.find(f"{count}-{count - 1}")
    ledger._write_batch()
    print(ledger.dropped, ledger.failing, found is not None)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(write(2))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
asyncio.run(write(500))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
asyncio.run(write(3))
"""


def test_a_full_disk_drops_rows_with_a_count_and_recovers(path):
    """Nothing is set aside for it: a full disk may pass. A real limit, in a real process."""
    assert resource.RLIMIT_FSIZE
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["0 False True", "500 True False", "0 False True"]
    assert "rows are dropped" in done.stderr
    assert not list(path.parent.glob("*.damaged-*"))

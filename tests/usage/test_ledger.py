"""The ledger of requests: off the path, found at every moment, never in the way."""

import asyncio
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from sidecar.clock import ManualClock
from sidecar.domain import Attempt
from sidecar.events import EntriesEvicted
from sidecar.usage import ledger as module
from sidecar.usage.ledger import RequestLedger

DAY_S = 86_400.0
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
HUGE, HALF_A_CHARACTER = 2**64, "\udcff"


@pytest.fixture
def path(tmp_path) -> Path:
    """Where the ledger lives."""
    return tmp_path / "requests.sqlite"


@pytest.fixture
def make(path, clock) -> Callable[..., RequestLedger]:
    """A ledger on that file."""

    def build(**changes: float) -> RequestLedger:
        limits = {"retention_s": DAY_S, "max_rows": 1000, **changes}
        return RequestLedger(path, clock, **limits)

    return build


@asynccontextmanager
async def opened(ledger: RequestLedger) -> AsyncIterator[RequestLedger]:
    """The ledger while its thread runs; all is written when this is left."""
    ledger.open()
    yield ledger
    await ledger.close()


async def written(ledger: RequestLedger, *rows) -> RequestLedger:
    """The ledger after these rows went to disk and its thread ended."""
    async with opened(ledger):
        for row in rows:
            ledger.observe(row)
    return ledger


async def test_a_row_is_found_before_it_is_written(make, make_row):
    """`/api/requests/{id}` tells of a request that has just ended."""
    ledger = make()
    ledger.observe(make_row(id="a", status=503))
    assert (await ledger.find("a"))["status"] == 503


async def test_a_row_is_found_after_it_was_written(make, make_row):
    """By the ledger that wrote it."""
    attempt = Attempt("sim", "m", 200, "ok", 1.0)
    ledger = await written(make(), make_row(id="a", attempts=(attempt,)))
    assert (await ledger.find("a"))["attempts"][0]["provider"] == "sim"


async def test_rows_survive_a_restart(make, make_row):
    """They are told by the next process too."""
    await written(make(), make_row(id="a"))
    assert (await make().find("a"))["id"] == "a"


async def test_both_ways_tell_the_same_record(make, make_row):
    """Pending or written, a row has one form."""
    ledger = make()
    ledger.observe(make_row(id="a", stages_ms={"embed": 4.5}))
    pending = await ledger.find("a")
    await written(ledger)
    assert await make().find("a") == pending


async def test_an_unknown_id_is_none(make, make_row):
    """Also where there is no file yet."""
    assert await make().find("nobody") is None
    ledger = await written(make(), make_row(id="a"))
    assert await ledger.find("nobody") is None


async def test_other_events_are_not_its_business(make):
    """Evictions are counted elsewhere."""
    ledger = await written(make(), EntriesEvicted("expired", 3))
    assert ledger.dropped == 0


async def test_a_row_that_comes_while_a_batch_is_written_is_not_lost(path, make_row):
    """Closing writes what came behind the last batch."""

    came = asyncio.Event()
    loop = asyncio.get_running_loop()

    class HeldBatch(ManualClock):
        """A clock that is asked while a batch is written, and holds it until the close."""

        def now(self) -> float:
            loop.call_soon_threadsafe(came.set)
            ledger._stop.wait(10)
            return super().now()

    ledger = RequestLedger(path, HeldBatch(), retention_s=DAY_S, max_rows=10)
    async with opened(ledger):
        ledger.observe(make_row(id="a"))
        await came.wait()
        ledger.observe(make_row(id="late"))
    reader = RequestLedger(path, ManualClock(), retention_s=DAY_S, max_rows=10)
    assert await reader.find("late")


async def test_rows_older_than_the_retention_are_forgotten(make, make_row, clock):
    """Who asked what isn't kept longer than config says."""
    now = clock.now()
    old = make_row(id="old", started_at=now - DAY_S - 1)
    ledger = await written(make(), old, make_row(id="new", started_at=now - DAY_S + 1))
    assert await ledger.find("old") is None
    assert await ledger.find("new")


async def test_retention_is_looked_after_again(make, make_row, clock):
    """A long-running process forgets too."""
    now = clock.now()
    await written(make(), make_row(id="a", started_at=now))
    clock.advance(DAY_S + module.SWEEP_S)
    ledger = await written(make(), make_row(id="b", started_at=clock.now()))
    assert (await ledger.find("a"), (await ledger.find("b"))["id"]) == (None, "b")


async def test_beyond_the_most_rows_the_oldest_go(make, make_row, clock):
    """The file has a bound."""
    rows = [make_row(id=str(age), started_at=clock.now() - age) for age in range(5)]
    ledger = await written(make(max_rows=2), *rows)
    assert [bool(await ledger.find(row.id)) for row in rows] == [True, True, False, False, False]


async def test_what_is_too_much_is_dropped_with_a_count(make, make_row):
    """Memory is bounded when the disk doesn't keep up."""
    ledger, row = make(), make_row()
    for number in range(module.MAX_PENDING):
        ledger._pending[str(number)] = row
    ledger.observe(make_row(id="one too many"))
    assert ledger.dropped == 1
    assert await ledger.find("one too many") is None


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


@pytest.mark.parametrize(
    "bad",
    [
        {"user": HALF_A_CHARACTER},
        {"input_tokens": HUGE},
        {"stages_ms": {HALF_A_CHARACTER: 1.0}},
        {"attempts": (Attempt("p", HALF_A_CHARACTER, 200, "ok", 1.0),)},
    ],
    ids=["half a character", "a huge integer", "in a mapping", "in an attempt"],
)
async def test_a_row_that_can_not_be_written_costs_itself_alone(make, make_row, bad):
    """Neither its batch nor the rows to come."""
    bad_row = make_row(id="bad", **bad)
    ledger = await written(make(), make_row(id="a"), bad_row, make_row(id="b"))
    assert (ledger.dropped, ledger.failing) == (1, False)
    assert (await ledger.find("a"))["id"] == "a"
    assert (await ledger.find("b"))["id"] == "b"


async def test_the_file_is_for_its_owner_only(make, make_row, path):
    """It tells who asked."""
    await written(make(), make_row())
    assert path.stat().st_mode & 0o777 == 0o600


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
    assert str(aside) in caplog.text
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


async def test_closing_what_was_never_opened_is_harmless(make):
    """A start that failed half way closes everything."""
    await make().close()

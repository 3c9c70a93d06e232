"""The ledger of requests: off the path, found at every moment, never in the way."""

import asyncio

import pytest

from sidecar.clock import ManualClock
from sidecar.domain import Attempt
from sidecar.events import EntriesEvicted
from sidecar.usage import ledger as module
from sidecar.usage.ledger import RequestLedger
from tests.usage.writing import DAY_S, opened, written

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
HUGE, HALF_A_CHARACTER = 2**64, "\udcff"


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


async def test_closing_what_was_never_opened_is_harmless(make):
    """A start that failed half way closes everything."""
    await make().close()

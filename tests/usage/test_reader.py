"""Reports over the ledger of requests: what is counted, grouped, and summed to the nano-dollar."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sidecar.errors import InvalidRequestError, SidecarError
from sidecar.usage import rows
from sidecar.usage.asking import read_query
from sidecar.usage.query import MOST_ROWS, UsageQuery
from sidecar.usage.reader import usage
from tests.usage.writing import DAY_S, written

NOON = datetime(2026, 7, 5, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def keep(make, make_row, clock):
    """Writes rows with these columns; each has an id of its own."""
    clock.advance(NOON - clock.now())

    async def write(*changes: dict) -> None:
        made = [
            make_row(**{"id": str(number), "started_at": NOON, **change})
            for number, change in enumerate(changes)
        ]
        await written(make(retention_s=400 * DAY_S, max_rows=10**6), *made)

    return write


def report(path, **options):
    """The report as it is asked for, over all of the day unless the options say otherwise."""
    return usage(path, read_query({"since": "2d", **options}, NOON + 1))


async def test_money_is_summed_to_the_nano_dollar(path, keep):
    """A tenth of a cent ten times over is a cent, not nearly one."""
    await keep(*({"cost_nanousd": 100_000_001} for _ in range(10)))
    assert report(path)["total"]["cost_usd"] == "1.00000001"


async def test_hits_cost_nothing_and_tell_what_they_saved(path, keep):
    """By kind of hit."""
    await keep(
        {"outcome": "exact", "cost_nanousd": 0, "saved_cache_nanousd": 5_000_000},
        {"outcome": "semantic", "cost_nanousd": 0, "saved_cache_nanousd": 7_000_000},
        {"outcome": "miss", "cost_nanousd": 9_000_000},
    )
    total = report(path)["total"]
    assert (total["requests"], total["exact"], total["semantic"]) == (3, 1, 1)
    assert (total["cost_usd"], total["saved_cache_usd"]) == ("0.009", "0.012")
    assert total["hit_ratio"] == 0.6667


async def test_groups_add_up_with_the_total(path, keep):
    """The dearest first; a group of two columns is told by both."""
    await keep(
        {"department": "sales", "model": "a", "cost_nanousd": 1},
        {"department": "sales", "model": "b", "cost_nanousd": 20},
        {"department": "support", "model": "a", "cost_nanousd": 300},
    )
    told = report(path, by="department,model")
    assert [(row["department"], row["model"], row["cost_usd"]) for row in told["rows"]] == [
        ("support", "a", "0.0000003"), ("sales", "b", "0.00000002"), ("sales", "a", "0.000000001"),
    ]  # fmt: skip
    assert told["total"]["cost_usd"] == "0.000000321"


@pytest.mark.parametrize(
    ("zone", "day"), [("UTC", "2026-07-05"), ("Pacific/Kiritimati", "2026-07-06")]
)
async def test_days_begin_in_the_asked_time_zone(path, keep, zone, day):
    """At noon in Greenwich it is tomorrow on Kiritimati."""
    await keep({})
    assert [row["day"] for row in report(path, by="day", timezone=zone)["rows"]] == [day]


async def test_only_rows_of_the_period_count(path, keep):
    """From `since` on, up to but without `until`."""
    await keep({"started_at": NOON - 60}, {"started_at": NOON}, {"started_at": NOON + 60})
    assert usage(path, UsageQuery(NOON - 60, NOON))["total"]["requests"] == 1
    assert usage(path, UsageQuery(NOON - 60, NOON + 61))["total"]["requests"] == 3


async def test_only_rows_with_the_wanted_value_count(path, keep):
    """In the groups and in the total; a hostile value is a value."""
    await keep({"department": "sales"}, {"department": "support"}, {"department": "'; --"})
    for value in ("sales", "'; --"):
        told = report(path, by="department", department=value)
        assert [row["department"] for row in told["rows"]] == [value]
        assert told["total"]["requests"] == 1


async def test_what_is_not_priced_is_counted(path, keep):
    """So that nobody takes the sum for the whole truth."""
    await keep({"unpriced": True}, {"estimated": True, "cost_nanousd": 5}, {})
    total = report(path)["total"]
    assert (total["unpriced"], total["estimated"]) == (1, 1)


async def test_too_many_groups_are_cut_and_told_so(path, keep):
    """The total still counts all of them."""
    await keep(*({"user": f"u{number}"} for number in range(MOST_ROWS + 5)))
    told = report(path, by="user")
    assert (len(told["rows"]), told["cut"]) == (MOST_ROWS, True)
    assert told["total"]["requests"] == MOST_ROWS + 5


def test_before_the_first_request_there_is_nothing(path):
    """No file is no error."""
    told = report(path, by="user")
    assert (told["rows"], told["total"]["requests"], told["total"]["cost_usd"]) == ([], 0, "0")


def test_a_file_that_is_no_ledger_is_told(path):
    """In one line."""
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(SidecarError, match=r"the request ledger .* can't be read"):
        report(path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"by": "colour"}, "colour"),
        ({"by": "user,user"}, "each once"),
        ({"colour": "red"}, "colour"),
        ({"by": "user, feature, department, tenant, model, route, provider"}, "up to 6"),
        ({"since": "1h", "until": "2h"}, "before since"),
        ({"timezone": "Mars"}, "Mars"),
    ],
)
def test_a_bad_option_is_named(path, options, named):
    """And what there is instead."""
    with pytest.raises(InvalidRequestError, match=named):
        report(path, **options)


async def test_a_file_of_the_first_version_is_brought_up_to_date(path, make, make_row):
    """Its rows stay, and new ones come beside them."""
    await written(make(), make_row(id="old", cost_nanousd=7))
    with closing(sqlite3.connect(path)) as connection:
        for column in ("cache_write_tokens", "unpriced", "estimated"):
            connection.execute(f"ALTER TABLE requests DROP COLUMN {column}")
        connection.execute("PRAGMA user_version=1")
        connection.commit()
    ledger = await written(make(), make_row(id="new", unpriced=True))
    assert (await ledger.find("old"))["cost_nanousd"] == 7
    assert (await ledger.find("new"))["unpriced"] is True
    assert not list(path.parent.glob("*.damaged*"))


def test_every_column_of_a_migration_stands_last_in_the_schema():
    """Else values would be written into the wrong columns of an older file."""
    added = [text.split("ADD COLUMN ")[1].split()[0] for text in rows.MIGRATIONS[1]]
    assert list(rows.NAMES[-len(added) :]) == added

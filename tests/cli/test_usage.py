"""`sidecar usage`, `usage close` and `usage reconcile` where no sidecar runs."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.helpers import run
from cli.spent import offline, spend, start, stop
from sidecar.state import StateDir

WIDTH = 100


def report(folder: Path, *arguments: str) -> dict[str, Any]:
    """A report for machines."""
    told = offline(folder, "usage", *arguments, "--json")
    assert (told.status, told.err) == (0, "")
    return dict(json.loads(told.out))


def month_of(folder: Path) -> str:
    """In which it was spent."""
    return str(report(folder, "--by", "month")["rows"][0]["month"])


def test_it_groups_by_department_unless_told_otherwise(spent: Path) -> None:
    """Who paid, and how much; what has no price is counted apart."""
    told = report(spent)
    rows = {row["department"]: row for row in told["rows"]}
    assert (rows["support"]["requests"], rows["support"]["exact"]) == (2, 1)
    assert Decimal(rows["support"]["cost_usd"]) == Decimal(rows["support"]["saved_cache_usd"]) > 0
    assert (rows["lab"]["cost_usd"], rows["lab"]["unpriced"]) == ("0", 1)


def test_people_get_a_table_that_fits(spent: Path) -> None:
    """With a total, dollars, and a word on what is not in it."""
    lines = offline(spent, "usage").out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].split()[:3] == ["department", "requests", "exact"]
    assert [line.split()[0] for line in lines[1:4]] == ["support", "lab", "total"]
    assert "$0.0" in lines[1]
    assert lines[4] == "1 requests have no known price and are not in cost: set prices"


def test_csv_is_for_a_spreadsheet(spent: Path) -> None:
    """Exact, with a head; without groups one line."""
    told = offline(spent, "usage", "--by", "model,cache", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(told)))
    assert {(row["model"], row["cache"]) for row in rows} == {
        ("gpt-4o", "miss"), ("gpt-4o", "exact"), ("mystery", "miss"), ("mystery", "exact"),
    }  # fmt: skip
    (total,) = csv.DictReader(
        io.StringIO(offline(spent, "usage", "--by", "", "--format", "csv").out)
    )
    assert (total["requests"], "department" in total) == ("4", False)


def test_where_keeps_what_is_wanted(spent: Path) -> None:
    """Several are all of them."""
    arguments = ("--where", "department=support", "--where", "cache=exact")
    assert report(spent, *arguments)["total"]["requests"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--by", "colour"], "no group 'colour'; there are: user, feature"),
        (["--since", "x"], "since: expected a duration such as 24h"),
        (["--where", "department"], "--where: expected GROUP=VALUE, got 'department'"),
        (["--where", "format=csv"], "--where: expected GROUP=VALUE, got 'format=csv'"),
        (["--timezone", "Mars"], "no time zone 'Mars'"),
        (["close", "2026-1"], "expected a month such as 2026-10, got '2026-1'"),
        (["reconcile", "nope.csv"], "No such file or directory: 'nope.csv'"),
        (["reconcile", ".sidecar/requests.sqlite"], "expected a CSV file in UTF-8"),
        (["--format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_a_slip_is_told_in_one_line(spent: Path, arguments: list[str], words: str) -> None:
    """As bad usage."""
    told = offline(spent, "usage", *arguments)
    assert (told.status, told.out, told.err.count("\n")) == (2, "", 1)
    assert words in told.err


def test_a_file_of_the_first_version_can_be_read(spent: Path, tmp_path: Path) -> None:
    """It is brought up to date by whoever opens it."""
    shutil.copytree(spent, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / ".sidecar" / "requests.sqlite")) as connection:
        for column in ("cache_write_tokens", "unpriced", "estimated"):
            connection.execute(f"ALTER TABLE requests DROP COLUMN {column}")
        connection.execute("PRAGMA user_version=1")
        connection.commit()
    assert report(tmp_path)["total"]["requests"] == 4


def test_a_broken_ledger_is_told_in_one_line(spent: Path, tmp_path: Path) -> None:
    """And nothing is lost: it stays where it is."""
    shutil.copytree(spent, tmp_path, dirs_exist_ok=True)
    file = tmp_path / ".sidecar" / "requests.sqlite"
    for each in file.parent.glob("requests.sqlite*"):
        each.unlink()
    file.write_bytes(b"no database" * 1000)
    told = offline(tmp_path, "usage")
    assert (told.status, told.out, told.err.count("\n")) == (1, "", 1)
    assert "the request ledger" in told.err
    assert file.read_bytes().startswith(b"no database")


def test_before_the_first_request_there_is_nothing(tmp_path: Path) -> None:
    """An empty state_dir is no error."""
    (tmp_path / ".sidecar").mkdir()
    assert report(tmp_path)["total"]["requests"] == 0
    assert offline(tmp_path, "usage", "close", "2026-10").out == "nothing was charged in 2026-10\n"


def test_files_that_a_process_owns_are_left_alone(tmp_path: Path) -> None:
    """Two owners of a money journal would be one too many."""
    with StateDir(tmp_path / ".sidecar", ["http://127.0.0.1:1"]):
        told = offline(tmp_path, "usage", "close", "2026-10")
    assert told.status == 2
    assert "is in use by process" in told.err


def test_a_months_closing_adds_up_with_its_budgets(spent: Path) -> None:
    """Exit 0; the table fits, and has the windows as days."""
    told = offline(spent, "usage", "close", month_of(spent))
    lines = told.out.splitlines()
    assert (told.status, told.err) == (0, "")
    assert max(map(len, lines)) <= WIDTH
    (support,) = (line.split() for line in lines if line.startswith("support "))
    assert support[-1] == "$0"
    assert support[1].endswith("-01T00:00Z")


def tampered(folder: Path) -> None:
    """A nano-dollar more on every account than was charged."""
    with closing(sqlite3.connect(folder / ".sidecar" / "money.sqlite")) as connection:
        connection.execute("UPDATE accounts SET committed = committed + 1")
        connection.commit()


def test_a_closing_that_does_not_add_up_is_exit_1(tmp_path: Path) -> None:
    """A nano-dollar is enough; the account that is off is told."""
    sidecar = start(tmp_path)
    try:
        spend(sidecar)
        month = running_month(sidecar.admin_url, tmp_path)
        tampered(tmp_path)
        url = ("--admin-url", sidecar.admin_url)
        told = run("usage", "close", month, "--json", *url, cwd=tmp_path)
    finally:
        stop(sidecar.process)
    windows = json.loads(told.out)["budgets"]
    assert (told.status, {row["difference_usd"] for row in windows}) == (1, {"0.000000001"})


def running_month(url: str, folder: Path) -> str:
    """In which a running one's charges are, once they are written."""
    told = run("budgets", "list", "--json", "--admin-url", url, cwd=folder)
    starts = {row["budget"]: row["starts_at"] for row in json.loads(told.out)["budgets"]}
    run("budgets", "reconcile", "--admin-url", url, cwd=folder)  # waits until all is on disk
    return str(starts["support"][:7])


def test_a_journal_that_was_tampered_with_is_told(spent: Path, tmp_path: Path) -> None:
    """No closing is made of it."""
    shutil.copytree(spent, tmp_path, dirs_exist_ok=True)
    tampered(tmp_path)
    told = offline(tmp_path, "usage", "close", "2026-10")
    assert (told.status, told.out, told.err.count("\n")) == (1, "", 1)
    assert "its accounts are not the sums of their charges" in told.err


def invoice(folder: Path, spent: Path, add: Decimal = Decimal(0)) -> str:
    """An invoice of all that was charged, and so much more."""
    closing_ = json.loads(offline(spent, "usage", "close", month_of(spent), "--json").out)
    lines = (
        f"{row['day']},{row['model']},${Decimal(row['cost_usd']) + add}" for row in closing_["rows"]
    )
    (folder / "invoice.csv").write_text("\n".join(("Date,Model,Cost", *lines)))
    return str(folder / "invoice.csv")


def test_an_invoice_that_agrees_is_exit_0(spent: Path, tmp_path: Path) -> None:
    """By default a line may be rounded to a cent."""
    for more in (Decimal(0), Decimal("0.005")):
        told = offline(spent, "usage", "reconcile", invoice(tmp_path, spent, more))
        assert (told.status, told.out.splitlines()[-1]) == (0, "every line agrees")


def test_an_invoice_that_differs_by_a_cent_is_exit_1(spent: Path, tmp_path: Path) -> None:
    """And the difference is told in full."""
    path = invoice(tmp_path, spent, Decimal("0.01"))
    told = offline(spent, "usage", "reconcile", path, "--provider", "sim")
    assert (told.status, told.err) == (1, "")
    assert told.out.splitlines()[-1] == "2 of 2 lines differ"
    assert told.out.splitlines()[1].split()[-1] == "$0.01"


def test_the_address_of_another_one_means_no_files_here(tmp_path: Path) -> None:
    """Its files are elsewhere."""
    (tmp_path / ".sidecar").mkdir()
    told = run("usage", "--admin-url", "http://127.0.0.1:1", cwd=tmp_path)
    assert (told.status, told.err) == (1, "no sidecar runs at http://127.0.0.1:1\n")

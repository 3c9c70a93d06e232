"""`sidecar budgets`: what is spent and left, and charges that wait for a provider's word."""

from __future__ import annotations

import json
import os
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cli.helpers import Result, Running, run
from cli.spent import TAGS, ask, offline, start, stop


def listed(folder: Path) -> list[dict[str, Any]]:
    """All accounts, for machines."""
    told = offline(folder, "budgets", "list", "--json")
    assert (told.status, told.err) == (0, "")
    return list(json.loads(told.out)["budgets"])


def test_every_account_is_listed_with_what_is_left(spent: Path) -> None:
    """Limit, spent and left add up."""
    accounts = {(row["budget"], row["each"]): row for row in listed(spent)}
    assert accounts.keys() == {("support", ""), ("users", "user=ann")}
    for row in accounts.values():
        assert Decimal(row["spent_usd"]) > 0
        left = Decimal(row["limit_usd"]) - Decimal(row["spent_usd"])
        assert (row["remaining_usd"], row["held_usd"]) == (str(left), "0")


def test_people_get_a_table_that_fits(spent: Path) -> None:
    """In dollars; what tells nothing is left out."""
    lines = offline(spent, "budgets", "list").out.splitlines()
    assert lines[0].split() == ["budget", "each", "limit", "spent", "left", "forecast", "until"]
    assert max(map(len, lines)) <= 100
    assert lines[1].split()[1] == "$50"


def test_one_budget_is_shown_whole(spent: Path) -> None:
    """A line a fact."""
    told = offline(spent, "budgets", "show", "support")
    facts = dict(line.split("  ", 1) for line in told.out.splitlines() if "  " in line)
    assert (told.status, facts["limit usd"].strip()) == (0, "50")
    shown = json.loads(offline(spent, "budgets", "show", "users", "--json").out)["budgets"]
    assert [row["each"] for row in shown] == ["user=ann"]


def test_a_budget_that_is_not_there_is_exit_1(spent: Path) -> None:
    """Told by name."""
    told = offline(spent, "budgets", "show", "nobody")
    assert (told.status, told.out, told.err) == (1, "", "no budget is called 'nobody'\n")


def test_without_budgets_that_is_said(tmp_path: Path) -> None:
    """An empty table would puzzle."""
    (tmp_path / ".sidecar").mkdir()
    assert offline(tmp_path, "budgets", "list").out == "no budget is configured\n"


def test_where_nothing_waits_that_is_said(spent: Path) -> None:
    """And exit 0."""
    told = offline(spent, "budgets", "reconcile")
    assert (told.status, told.out) == (0, "nothing waits: every charge has its provider's word\n")


def test_a_damaged_journal_is_one_line_and_stays(tmp_path: Path) -> None:
    """Begun anew it would grant every limit a second time."""
    state = tmp_path / ".sidecar"
    state.mkdir()
    (state / "money.sqlite").write_bytes(b"no database" * 1000)
    for command in (["budgets", "list"], ["usage", "close", "2026-10"], ["budgets", "reconcile"]):
        told = offline(tmp_path, *command)
        assert (told.status, told.out, told.err.count("\n")) == (1, "", 1)
        assert "can't be used" in told.err
    assert (state / "money.sqlite").read_bytes().startswith(b"no database")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--charge", "a"], "--charge needs --usd"),
        (["--usd", "1"], "--usd needs --charge"),
        (["--charge", "a", "--usd", "lots"], "expected dollars such as 0.0123, got 'lots'"),
        (["--charge", "a", "--usd=-1"], "expected dollars"),
        (["--charge", "a", "--from", "b"], "not allowed with"),
        (["--from", "nope.csv"], "No such file"),
        (["--from", "sidecar.yaml"], "line 2: expected the columns charge and cost_usd"),
    ],
)
def test_a_slip_is_told_in_one_line(spent: Path, arguments: list[str], words: str) -> None:
    """As bad usage; nothing is changed."""
    told = offline(spent, "budgets", "reconcile", *arguments)
    assert (told.status, told.out, told.err.count("\n")) == (2, "", 1)
    assert words in told.err


def leave(sidecar: Running, question: str) -> None:
    """Ask for a stream and go away after its first words."""
    place = urlsplit(sidecar.data_url)
    messages = [{"role": "user", "content": question}]
    body = json.dumps({"model": "gpt-4o", "messages": messages, "stream": True, "temperature": 1})
    tags = "".join(f"{name}: {value}\r\n" for name, value in TAGS.items())
    head = (
        f"POST {place.path}/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\n{tags}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((place.hostname or "", place.port or 0), 20) as client:
        client.sendall((head + body).encode())
        assert b"200" in client.recv(100)


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """A folder with two charges that only a bound vouches for, beside one that is settled."""
    sidecar = start(tmp_path)
    ask(sidecar, "How tall is the Eiffel tower?", **TAGS)
    for number in range(2):
        leave(sidecar, f"Tell me all about the sea, {number}?")
    stop(sidecar.process)
    return tmp_path


def reconcile(folder: Path, *arguments: str) -> Result:
    """The command."""
    return offline(folder, "budgets", "reconcile", *arguments)


def test_charges_are_listed_and_reconciled(doubtful: Path) -> None:
    """By hand and from a file; what is left of a bound is free again, and no charge moves twice."""
    waiting = json.loads(reconcile(doubtful, "--json").out)["rows"]
    assert len(waiting) == 2
    assert reconcile(doubtful).out.splitlines()[1].split()[0] == waiting[0]["id"]
    by_hand = ("--charge", waiting[0]["id"], "--usd", "0.0001", "--note", "by phone")
    told = reconcile(doubtful, *by_hand, "--json")
    (done,) = json.loads(told.out)["reconciled"]
    assert (told.status, done["cost_usd"]) == (0, "0.0001")
    assert done["charged_usd"] == waiting[0]["charged_usd"]

    again = reconcile(doubtful, *by_hand)
    assert (again.status, again.out, again.err.count("\n")) == (1, "", 1)
    file = doubtful / "costs.csv"
    file.write_text(f"charge,cost_usd\n{waiting[1]['id']},0.0002\n{waiting[0]['id']},5\n")
    told = reconcile(doubtful, "--from", str(file))
    # The first line is done and told, the second is refused.
    assert (told.status, told.out.split()[4:7:2]) == (1, [waiting[1]["id"], "$0.0002"])
    assert "is open to correction" in told.err

    assert reconcile(doubtful).out.startswith("nothing waits")
    (support,) = (row for row in listed(doubtful) if row["budget"] == "support")
    first = Decimal(support["spent_usd"]) - Decimal("0.0003")
    assert 0 < first < Decimal("0.01")
    assert support["unsettled"] == 0
    month = support["starts_at"][:7]
    assert offline(doubtful, "usage", "close", month).status == 0


def test_a_running_one_is_asked_in_the_same_words(tmp_path: Path) -> None:
    """The same exits and the same lines."""
    sidecar = start(tmp_path)
    try:

        def asked(*arguments: str) -> Result:
            return run(*arguments, "--admin-url", sidecar.admin_url, cwd=tmp_path, **os.environ)

        assert asked("budgets", "show", "nobody").status == 1
        slip = asked("budgets", "reconcile", "--charge", "a", "--usd", "lots")
        assert (slip.status, slip.err) == (2, "expected dollars such as 0.0123, got 'lots'\n")
        unknown = asked("budgets", "reconcile", "--charge", "a", "--usd", "1")
        assert (unknown.status, unknown.err.count("\n")) == (1, 1)
        slip = asked("usage", "--by", "colour")
        assert (slip.status, slip.err.count("\n")) == (2, 1)
        (support,) = json.loads(asked("budgets", "list", "--json").out)["budgets"]
        assert (support["budget"], support["spent_usd"]) == ("support", "0")
    finally:
        stop(sidecar.process)

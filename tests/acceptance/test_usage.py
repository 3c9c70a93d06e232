"""Who spent what: reports, closings and invoices add up with what the provider billed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .money import nano
from .running import serving, simulated
from .spending import (
    CUT,
    EMBEDDING,
    SECTIONS,
    Month,
    billed,
    command,
    department_of,
    mixed,
    question_of,
    reconcile,
    settled_rows,
    this_month,
)

ROWS = 28
"""Requests of the mixed load: three alike, five of a kind each, four at once, two embeddings."""


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """After the load; what only a bound vouched for is set to what the provider billed."""
    folder = tmp_path_factory.mktemp("usage")
    with (
        simulated(folder / "p", tokens_per_s=400) as provider,
        serving(provider, folder, **SECTIONS) as sidecar,
    ):
        cut = mixed(sidecar, provider)
        settled_rows(sidecar, ROWS)
        before = sidecar.admin("GET", f"/api/usage/closing?month={this_month(sidecar)}").json
        reconcile(sidecar, provider, cut)
        yield Month(sidecar, provider, before)


def spent(rows: list[dict[str, Any]], *names: str) -> dict[tuple[str, ...], int]:
    """Nano-dollars by these columns, as told; no zeros."""
    told = {tuple(str(row[name]) for name in names): nano(row["cost_usd"]) for row in rows}
    return {place: cost for place, cost in told.items() if cost}


def test_before_all_is_settled_a_closing_is_never_below_the_bill(month: Month) -> None:
    """What only a bound vouches for is in it, and told apart."""
    total = month.before["total"]
    real = sum(billed(month.provider, question_of).values())
    assert real < nano(total["cost_usd"])
    assert 0 < nano(total["unsettled_usd"]) < nano(total["cost_usd"])


def test_the_rows_of_requests_cost_what_was_charged(month: Month) -> None:
    """Two ledgers, one sum, to the nano-dollar."""
    usage = month.get("/api/usage")["total"]
    assert usage["cost_usd"] == month.before["total"]["cost_usd"]
    assert (usage["requests"], usage["estimated"], usage["unpriced"]) == (ROWS, 4, 0)


def test_a_closing_is_what_the_provider_billed_by_department_and_model(month: Month) -> None:
    """To the nano-dollar, once every bound has its provider's word."""
    closing = month.closing()
    real = billed(month.provider, lambda row: (department_of(row), row["model"]))
    assert spent(closing["rows"], "department", "model") == real
    total = closing["total"]
    assert nano(total["cost_usd"]) == sum(real.values())
    assert (total["unsettled_usd"], total["corrections"]) == ("0", 4)


def test_a_closing_adds_up_with_every_budget(month: Month) -> None:
    """Of the month, of a day elsewhere on the globe, and of each user; none is left out."""
    windows = month.closing()["budgets"]
    assert {(each["budget"], each["each"]) for each in windows} == {
        ("b", ""), ("support", ""),
        ("users", "user="), ("users", "user=sales-ann"), ("users", "user=support-ann"),
    }  # fmt: skip
    assert {each["difference_usd"] for each in windows} == {"0"}
    now = {(each["budget"], each["each"]): each for each in month.get("/api/budgets")["budgets"]}
    for window in windows:
        account = now[window["budget"], window["each"]]
        assert (account["spent_usd"], account["unsettled"]) == (window["spent_usd"], 0)


def test_closings_of_other_months_are_empty(month: Month) -> None:
    """Nothing is counted twice."""
    closing = month.get("/api/usage/closing?month=1999-12")
    assert (closing["rows"], closing["total"]["cost_usd"]) == ([], "0")


def test_followers_have_no_tokens_and_no_cost(month: Month) -> None:
    """They are in the row of whoever led them; what they saved is told."""
    rows = month.get("/api/usage?by=department,cache&model=gpt-4o")["rows"]
    for row in (row for row in rows if row["cache"] == "coalesced"):
        assert (row["requests"], row["cost_usd"], row["errors"]) == (3, "0", 0)
        assert row["input_tokens"] == row["output_tokens"] == row["cached_input_tokens"] == 0
        assert nano(row["saved_cache_usd"]) > 0
    assert sum(row["cache"] == "coalesced" for row in rows) == 2


def test_hits_cost_nothing_and_tell_what_they_saved(month: Month) -> None:
    """As often as they were served, what the first answer was billed."""
    question = "support: how tall is the Eiffel tower?"
    first = billed(month.provider, question_of)[question]
    options = "cache=exact&department=support&endpoint=chat"
    total = month.get(f"/api/usage?{options}")["total"]
    assert (total["requests"], total["cost_usd"], total["output_tokens"]) == (2, "0", 0)
    assert nano(total["saved_cache_usd"]) == 2 * first
    assert total["hit_ratio"] == 1.0


def test_tokens_are_those_that_the_provider_counted(month: Month) -> None:
    """Of all that ended well; the others' only the provider knows."""
    ended = [row for row in month.provider.ledger["requests"] if row["outcome"] == "completed"]
    # A stream that was cut has ended well for whoever only wrote it into a socket.
    ended = [row for row in ended if CUT not in question_of(row)]
    total = month.get("/api/usage?status=200")["total"]
    for ours, theirs in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
        assert total[ours] == sum(row["billed"][theirs] for row in ended)


@pytest.mark.parametrize(
    "group",
    [
        "user", "feature", "department", "tenant", "session", "client", "endpoint", "model",
        "route", "answered_model", "provider", "prompt", "cache", "status", "degraded",
        "hour", "day", "month", "department,model", "day,cache,status",
    ],
)  # fmt: skip
def test_every_group_adds_up_with_the_total(month: Month, group: str) -> None:
    """No row is lost and none counted twice."""
    told = month.get(f"/api/usage?by={group}")
    for name in ("requests", "errors", "exact", "coalesced", "input_tokens", "output_tokens"):
        assert sum(row[name] for row in told["rows"]) == told["total"][name]
    for name in ("cost_usd", "saved_cache_usd"):
        assert sum(nano(row[name]) for row in told["rows"]) == nano(told["total"][name])
    assert told["by"] == group.split(",")


def test_the_dearest_groups_come_first(month: Month) -> None:
    """Whoever opens a report looks at its top."""
    rows = month.get("/api/usage?by=model,department")["rows"]
    costs = [nano(row["cost_usd"]) for row in rows]
    assert costs == sorted(costs, reverse=True)


def test_a_period_has_a_beginning_and_an_end(month: Month) -> None:
    """In the zone that was asked for: what is tomorrow on Kiritimati is not in its today."""
    assert month.get("/api/usage?since=2099-01-01&until=2099-01-02")["total"]["requests"] == 0
    days = [
        month.get(f"/api/usage?by=day&timezone={zone}")["rows"][0]["day"]
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago")
    ]
    assert days[0] > days[1]
    for zone, day in zip(("Pacific/Kiritimati", "Pacific/Pago_Pago"), days, strict=True):
        told = month.get(f"/api/usage?since={day}&timezone={zone}")
        assert told["total"]["requests"] == ROWS


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/api/usage?by=colour", "by"),
        ("/api/usage?colour=red", "colour"),
        ("/api/usage?since=yesterday", "since"),
        ("/api/usage?timezone=Mars", "timezone"),
        ("/api/usage?timezone=../../etc/passwd", "timezone"),
        ("/api/usage?format=xml", "format"),
        ("/api/usage?by=user&by=model", None),
        ("/api/usage/closing", "month"),
        ("/api/usage/closing?month=2026-13", "month"),
        ("/api/usage/closing?month=2026-10&by=user", "by"),
        ("/api/usage/charges?from=2026-10-01", "to"),
        ("/api/usage/charges?from=2026-10-01&to=soon", "to"),
    ],
)
def test_a_slip_in_a_question_is_named(month: Month, path: str, param: str | None) -> None:
    """Better than a report on something else."""
    reply = month.sidecar.admin("GET", path)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["param"]) == (400, "invalid_request", param)


def test_csv_has_the_same_figures_as_json(month: Month) -> None:
    """For a spreadsheet, exact to the last digit."""
    for path in ("/api/usage?by=department,model", f"/api/usage/closing?month={month.name}"):
        reply = month.sidecar.admin("GET", f"{path}&format=csv")
        assert reply.headers["content-type"] == "text/csv; charset=utf-8"
        told = list(csv.DictReader(io.StringIO(reply.body.decode())))
        rows = month.get(path)["rows"]
        assert told == [{name: str(value) for name, value in row.items()} for row in rows]


def test_the_closing_command_agrees(month: Month) -> None:
    """The same sums, as JSON and CSV; exit 0, for the budgets add up."""
    done = command(month.sidecar, "usage", "close", month.name, "--json")
    assert (done.status, done.err, json.loads(done.out)) == (0, "", month.closing())
    done = command(month.sidecar, "usage", "close", month.name, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    costs = sum(nano(row["cost_usd"]) for row in rows)
    assert costs == nano(month.closing()["total"]["cost_usd"])


@pytest.fixture
def invoice(month: Month, tmp_path: Path) -> Path:
    """What the provider bills, by day and model, as its ledger has it."""
    day = month.closing()["rows"][0]["day"]
    lines = [
        f"{day},{model},{cost / 10**9:.9f}"
        for model, cost in billed(month.provider, lambda row: row["model"]).items()
    ]
    path = tmp_path / "invoice.csv"
    path.write_text("\n".join(["date,model,amount_usd", *lines, ""]))
    return path


def compared(month: Month, invoice: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit status and report of the comparison, to the nano-dollar."""
    done = command(
        month.sidecar, "usage", "reconcile", str(invoice), "--tolerance", "0", "--json", *more
    )
    assert done.err == ""
    return done.status, json.loads(done.out)


def test_an_invoice_of_what_was_billed_agrees_line_by_line(month: Month, invoice: Path) -> None:
    """Though two departments and many calls stand behind each of its lines."""
    status, told = compared(month, invoice, "--provider", "p")
    assert (status, told["differing"]) == (0, 0)
    assert {row["model"] for row in told["rows"]} == {"gpt-4o", "gpt-4o-mini", EMBEDDING}
    assert {row["difference_usd"] for row in [*told["rows"], told["total"]]} == {"0"}


def test_one_line_that_was_changed_is_found(month: Month, invoice: Path) -> None:
    """A nano-dollar on one, and which; a line that is missing too."""
    lines = invoice.read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if ",gpt-4o," in line)
    cost = nano(lines[place].rpartition(",")[2])
    lines[place] = lines[place].rpartition(",")[0] + f",{(cost + 1) / 10**9:.9f}"
    invoice.write_text("\n".join(lines))
    status, told = compared(month, invoice)
    apart = [row for row in told["rows"] if row["difference_usd"] != "0"]
    assert (status, told["differing"]) == (1, 1)
    assert [(row["model"], row["difference_usd"]) for row in apart] == [("gpt-4o", "0.000000001")]
    del lines[place]
    invoice.write_text("\n".join(lines))
    status, told = compared(month, invoice)
    assert status == 1
    assert [row["note"] for row in told["rows"] if row["model"] == "gpt-4o"] == ["only here"]


def test_another_providers_invoice_differs_in_all(month: Month, invoice: Path) -> None:
    """`--provider` keeps the others' charges out."""
    status, told = compared(month, invoice, "--provider", "somebody")
    assert status == 1
    assert {row["note"] for row in told["rows"]} == {"only on the invoice"}

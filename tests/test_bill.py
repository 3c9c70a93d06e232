"""How attempts end, and what each is charged: by real holds in real budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.bill import Bill, Terms, content_bytes, tokens_of
from sidecar.budget.price import Price, Rates
from sidecar.domain import (
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    Delta,
    Message,
    Role,
    Text,
    ToolCallDelta,
    Usage,
)
from sidecar.errors import UpstreamError
from sidecar.native import NativeRequest
from tests.budget.making import budget, money, opened, spending

INPUT, OUTPUT = 1_000_000, 10_000_000
"""Pico-dollars a token: 1,000 and 10,000 nano-dollars."""
PRICE = Price(Rates(INPUT, INPUT // 2, INPUT * 5 // 4, OUTPUT, OUTPUT, INPUT * 2))
REQUEST = ChatRequest("m", (Message(Role.USER, (Text("hi"),)),))
TERMS = Terms(PRICE, REQUEST, input_tokens=100, output_tokens=20)
DEAREST_INPUT = 2_000
"""Of a token that is written to a cache for long, in nano-dollars."""
WORST = 100 * DEAREST_INPUT + 20 * 10_000
Ending = Callable[[Bill], Any]


def said(text: str, usage: Usage | None = None) -> Chunk:
    """A piece of a stream."""
    return Chunk("c", 0, "m", (Delta(text=text),), usage)


def answer(usage: Usage | None, text: str | None = "four") -> Completion:
    """A whole answer of the model `m-1`."""
    return Completion("c", 0, "m-1", (Choice(text=text, finish="stop"),), usage)


def answered(usage: Usage | None, text: str | None = "four") -> Ending:
    """It ends with this."""
    return lambda bill: bill.answered(answer(usage, text))


def failed(reason: str, status: int | None = None, *, chunks: int = 0, **more: Any) -> Ending:
    """It fails behind so many pieces of four bytes."""

    def end(bill: Bill) -> None:
        for _ in range(chunks):
            bill.emitted(said("four"))
        bill.failed(UpstreamError("no", reason=reason, upstream_status=status, **more))

    return end


def left(chunks: int) -> Ending:
    """Its caller leaves behind so many pieces."""
    return lambda bill: [bill.emitted(said("four")) for _ in range(chunks)]


def emitted(chunks: int) -> int:
    """What so many pieces of four bytes cost at most: four tokens each, and four for the rest."""
    return 100 * DEAREST_INPUT + min(8 * chunks, 20) * 10_000


ENDINGS: dict[str, tuple[Ending, int, bool]] = {
    "its word": (answered(Usage(10, 5)), 60_000, False),
    "its word on its cache": (answered(Usage(10, 5, 4, 0, 2, 1)), 59_250, False),
    "a call without a text": (answered(Usage(10, 0), None), 10_000, False),
    "no word": (answered(None), WORST, True),
    "no input": (answered(Usage(0, 5)), WORST, True),
    "no output, though there is a text": (answered(Usage(10, 0)), WORST, True),
    "parts that are more than the whole": (answered(Usage(10, 5, 8, 0, 8)), WORST, True),
    "more than was held": (answered(Usage(10, 10**6)), WORST, True),
    "more input than was held": (answered(Usage(10**6, 5)), WORST, True),
    "never sent": (failed("connect", never_sent=True), 0, False),
    "given up": (Bill.unsent, 0, False),
    "refused": (failed("rate_limited", 429), 0, False),
    "broken": (failed("status_500", 500), 0, False),
    "told nothing in time": (failed("status_504", 504), WORST, True),
    "a redirect": (failed("redirect", 302), WORST, True),
    "cut": (failed("cut", chunks=2), emitted(2), True),
    "cut after much": (failed("cut", chunks=9), WORST, True),
    "cut before a word": (failed("cut"), WORST, True),
    "an error in a stream": (failed("error_in_stream", chunks=1), emitted(1), True),
    "overloaded in a stream": (failed("overloaded", chunks=1), emitted(1), True),
    "reset": (failed("reset", chunks=2), WORST, True),
    "late": (failed("timeout_total", chunks=2), WORST, True),
    "unreadable": (failed("invalid_body", chunks=2), WORST, True),
    "left at once": (left(0), WORST, True),
    "left midway": (left(1), WORST, True),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_an_ending_has_its_charge(path: Path, name: str) -> None:
    """In the budget, and as the row is told; and never a second time."""
    end, nano, is_estimate = ENDINGS[name]
    async with opened(path, [budget(limit=10**9)]) as budgets:
        bill = Bill(await budgets.reserve(spending(amount=WORST)), TERMS)
        end(bill)
        assert bill.close() == (nano, is_estimate)
        assert money(budgets) == (nano, 0)
        assert bill.close() == (nano, is_estimate)
        assert money(budgets) == (nano, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "money.sqlite"


async def charged(path: Path, end: Ending, terms: Terms = TERMS) -> int:
    """What an ending adds to a budget."""
    async with opened(path, [budget(limit=10**9)]) as budgets:
        bill = Bill(await budgets.reserve(spending(amount=terms.worst)), terms)
        end(bill)
        bill.close()
        return money(budgets)[0]


async def test_an_answer_longer_than_its_cap_is_paid_as_far_as_it_is_seen(path: Path) -> None:
    """Its server obeys no cap; what it counts is true, for the text is here."""
    long = answered(Usage(10, 500), "x" * 5_000)
    assert await charged(path, long) == 10 * DEAREST_INPUT + 500 * 10_000


async def test_a_count_beyond_what_is_seen_is_not_believed(path: Path) -> None:
    """No token is shorter than a byte."""
    long = answered(Usage(10, 10**6), "x" * 500)
    assert await charged(path, long) == 10 * DEAREST_INPUT + 504 * 10_000


async def test_a_model_that_thinks_unseen_is_charged_in_full_when_cut(path: Path) -> None:
    """What it had thought nobody can tell."""
    thinking = replace(TERMS, price=replace(PRICE, reasons=True))
    assert await charged(path, failed("cut", chunks=1), thinking) == WORST


async def test_what_came_and_was_never_read_is_charged_too(path: Path) -> None:
    """Behind the pieces that were, there may be any number."""

    def end(bill: Bill) -> None:
        bill.emitted(said("four"))
        error = UpstreamError("no", reason="cut")
        error.has_all_come = False
        bill.failed(error)

    assert await charged(path, end) == WORST


async def test_events_that_are_passed_on_unread_tell_nothing(path: Path) -> None:
    """So a native stream that is cut is charged in full."""
    native = replace(TERMS, request=NativeRequest("m", ()))
    assert await charged(path, failed("cut", chunks=1), native) == WORST


async def test_usage_so_far_counts_where_it_is_more_than_what_was_seen(path: Path) -> None:
    """Some servers tell it with every piece."""

    def end(bill: Bill) -> None:
        bill.emitted(said("four", Usage(100, 15)))
        bill.failed(UpstreamError("no", reason="cut"))

    seen = emitted(1)
    assert await charged(path, end) == max(seen, 100 * 1_000 + 15 * 10_000)


async def test_usage_so_far_is_believed_up_to_what_was_held(path: Path) -> None:
    """No count is worth more than the bound."""
    cheap = replace(TERMS, input_tokens=10)

    def end(bill: Bill) -> None:
        bill.emitted(said("four", Usage(100, 15)))
        bill.failed(UpstreamError("no", reason="cut"))

    assert await charged(path, end, cheap) == cheap.worst == 220_000


@pytest.mark.parametrize(("chunks", "nano"), [(0, WORST), (1, emitted(1)), (2, emitted(2))])
async def test_who_leaves_may_be_charged_what_had_come(path: Path, chunks: int, nano: int) -> None:
    """Where config says so; before a word has come it is the whole."""
    terms = replace(TERMS, charge_cancelled="emitted")
    assert await charged(path, left(chunks), terms) == nano


@pytest.mark.parametrize(
    ("end", "nano", "is_estimate"),
    [
        (answered(Usage(10, 5)), 60_000, False),
        (answered(Usage(10**6, 10**6)), 11 * 10**9, False),
        (failed("status_500", 500), 0, False),
        (Bill.unsent, 0, False),
    ],
)
async def test_without_a_budget_the_cost_is_told(
    path: Path, end: Ending, nano: int, is_estimate: bool
) -> None:
    """Nothing was held, so nothing bounds it."""
    async with opened(path) as budgets:
        bill = Bill(budgets.unlimited(spending(amount=0)), Terms(PRICE, REQUEST))
        end(bill)
        assert bill.close() == (nano, is_estimate)


async def test_without_a_budget_an_unknown_cost_is_estimated_by_what_is_seen(path: Path) -> None:
    """More than nothing, and flagged."""
    async with opened(path) as budgets:
        bill = Bill(budgets.unlimited(spending(amount=0)), Terms(PRICE, REQUEST))
        bill.answered(answer(None))
        nano, is_estimate = bill.close()
        assert is_estimate
        assert nano is not None
        assert nano > 2 * DEAREST_INPUT + 4 * 10_000


@pytest.mark.parametrize("end", [answered(Usage(10, 5)), answered(None), left(1)])
async def test_without_a_price_the_cost_is_unknown(path: Path, end: Ending) -> None:
    """Not nothing; but an error costs nothing at any price."""
    async with opened(path) as budgets:
        bill = Bill(budgets.unlimited(spending(amount=0)), Terms(None, REQUEST))
        end(bill)
        assert bill.close().nano is None
        free = Bill(budgets.unlimited(spending(2, amount=0)), Terms(None, REQUEST))
        free.unsent()
        assert free.close().nano == 0


async def test_an_absurd_price_breaks_nothing(path: Path) -> None:
    """A call that no budget is for is answered whatever it costs."""
    absurd = Price(Rates(10**15, 10**15, 10**15, 10**15, 10**15))
    async with opened(path) as budgets:
        bill = Bill(budgets.unlimited(spending(amount=0)), Terms(absurd, REQUEST))
        bill.answered(answer(Usage(10**9, 10**9)))
        assert bill.close().nano == 10**17


def test_everything_of_a_piece_is_counted() -> None:
    """Texts, refusals, calls and what no field names."""
    call = ToolCallDelta(0, "id", "name", "{}")
    delta = Delta(text="é", refusal="no", tool_calls=(call,), extra={"a": 1})
    assert content_bytes(Chunk("c", 0, "m", (delta, Delta(text="x")))) == 2 + 2 + 6 + 7 + 1


@pytest.mark.parametrize(
    "usage", [None, Usage(1, 1, 2), Usage(1, 1, 0, 2), Usage(9, 1, 0, 0, 1, 2)]
)
def test_usage_that_contradicts_itself_is_none(usage: Usage | None) -> None:
    """A part is not more than its whole."""
    assert tokens_of(usage) is None

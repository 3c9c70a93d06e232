"""Which calls may be sent, and under what cap: by real budgets on a real journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sidecar.budget.prices import PriceTable
from sidecar.budget.terms import Account, Budget
from sidecar.cashier import shared
from sidecar.clock import ManualClock
from sidecar.config.money import Price
from sidecar.domain import Attachment, Caller, ChatRequest, Message, Outcome, Role
from sidecar.money_errors import (
    BudgetBusyError,
    BudgetExceededError,
    BudgetUnavailableError,
)
from sidecar.native import NativeRequest
from sidecar.route.table import Target
from sidecar.route.wishes import Paid
from sidecar.till import UnboundedError, payer_of, unpriced
from tests.budget.making import LADDER, NOON, budget, money, opened
from tests.paying import ALIKE, ANN, BOB, COST, OWN, PLENTY, Desk, answer, asked, paid


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Open a desk with these budgets; it is closed with the test."""
    async with AsyncExitStack() as stack:

        async def open_(*budgets: Budget) -> Desk:
            clock = ManualClock(NOON)
            made = opened(tmp_path / "money.sqlite", budgets, clock)
            return Desk(await stack.enter_async_context(made), clock)

        yield open_


async def test_where_bytes_say_no_the_tokens_themselves_may_say_yes(desk) -> None:
    """At OpenAI's own address, where a name is sure to name its tokenizer."""
    request = asked("word " * 1_000)  # 5,000 bytes, some 1,000 tokens
    at = await desk(budget(limit=3_000_000))
    assert await paid(at.till(), OWN, request) == Paid(COST)
    with pytest.raises(BudgetExceededError):
        await paid(at.till(), ALIKE, request)


@pytest.mark.parametrize("cap", [10**13, 10**18, 2**63])
async def test_a_cap_beyond_all_money_is_a_refusal(desk, cap: int) -> None:
    """Not a broken sum."""
    at = await desk(budget(limit=PLENTY))
    with pytest.raises(BudgetExceededError) as error:
        await paid(at.till(), OWN, asked(max_tokens=cap))
    assert error.value.detail["budget"] == "all"
    assert error.value.payer == payer_of(ANN)
    assert money(at.budgets) == (0, 0)


async def test_an_unknown_price_is_refused_only_where_a_budget_is(desk) -> None:
    """Else it is sent, and its cost is not known."""
    at = await desk(budget(limit=PLENTY, match={"department": "support"}))
    mystery = Target("alike", "mystery")
    with pytest.raises(BudgetUnavailableError) as error:
        await paid(at.till(), mystery)
    assert error.value.payer == payer_of(ANN)
    assert await paid(at.till(BOB), mystery) == Paid(None)


async def test_what_has_no_bound_is_refused_only_where_a_budget_is(desk) -> None:
    """By the name of the part that has none."""
    at = await desk(budget(limit=PLENTY, match={"department": "support"}))
    audio = Message(Role.USER, (Attachment("input_audio", {"type": "input_audio"}),))
    spoken = ChatRequest("gpt-4o", (audio,))
    with pytest.raises(UnboundedError, match="input_audio") as error:
        await paid(at.till(), OWN, spoken)
    assert error.value.payer == payer_of(ANN)
    assert await paid(at.till(BOB), OWN, spoken) == Paid(COST)


@pytest.mark.parametrize(
    ("target", "sent", "word"),
    [
        (OWN, {"max_completion_tokens": 7}, "max_completion_tokens"),
        (ALIKE, {"max_completion_tokens": 7}, "max_tokens"),
        (Target("alike", "gpt-5"), {"max_completion_tokens": 7}, "max_completion_tokens"),
        (ALIKE, {"max_tokens": 7}, "max_tokens"),
        (Target("claude", "gpt-4o"), {"max_completion_tokens": 7}, "max_completion_tokens"),
    ],
)
async def test_a_cap_is_sent_in_a_word_that_the_server_obeys(desk, target, sent, word) -> None:
    """Servers that only speak alike may know the older one alone."""
    at = await desk(budget(limit=PLENTY))
    async with at.till().attempt(target, asked(**sent)) as bill:
        assert bill.request.parameters == {word: 7}


async def test_both_caps_are_left_and_the_larger_is_held(desk) -> None:
    """Which of them a server obeys is its own affair."""
    at = await desk(budget(limit=PLENTY))
    both = {"max_tokens": 10, "max_completion_tokens": 900}
    async with at.till().attempt(ALIKE, asked(**both)) as bill:
        assert bill.request.parameters == both
        assert bill.terms.output_tokens == 900


async def test_a_cap_is_added_only_where_a_budget_is(desk) -> None:
    """And no larger than the model can write."""
    at = await desk(budget(limit=PLENTY, match={"department": "support"}))
    bare = asked(temperature=0)
    async with at.till().attempt(OWN, bare) as bill:
        assert bill.request.parameters["max_tokens"] == 50
    async with at.till(BOB).attempt(OWN, bare) as bill:
        assert bill.request is bare
    small = Price(input=Decimal(1), output=Decimal(1), max_output_tokens=30)
    at.cashier.prices = PriceTable({"gpt-4o": small})
    async with at.till().attempt(OWN, bare) as bill:
        assert bill.request.parameters["max_tokens"] == 30


async def test_a_native_request_is_capped_and_bounded_by_its_body(desk) -> None:
    """It has no messages, and yet it is not for nothing."""
    at = await desk(budget(limit=PLENTY))
    native = NativeRequest("gpt-4o", (), body={"input": "word " * 1_000})
    async with at.till().attempt(OWN, native) as bill:
        assert isinstance(bill.request, NativeRequest)
        assert bill.request.body["max_output_tokens"] == 50
        assert bill.terms.input_tokens > 5_000


@pytest.mark.parametrize(("pattern", "refuses"), [("g*", True), ("dear", True), ("other", False)])
async def test_a_model_s_budget_is_met_by_who_asks_and_by_who_answers(
    desk, pattern: str, refuses: bool
) -> None:
    """Nobody gets around it by another name."""
    at = await desk(budget(limit=0, match={"model": pattern}))
    stand_in = Target("own", "dear")
    if refuses:
        with pytest.raises(BudgetExceededError):
            await paid(at.till(), stand_in)
    else:
        assert (await paid(at.till(), stand_in)).nano == 10 * COST


async def test_the_ladder_wants_a_variant_then_nobody(desk) -> None:
    """By what is spent, and only of those whom it concerns."""
    at = await desk(budget(limit=2_000_000, match={"department": "support"}, ladder=LADDER))
    call = at.call()
    assert at.cashier.variant(call, at.trail(call)) == ""
    while money(at.budgets)[0] < 1_600_000:
        async with at.till().attempt(OWN, asked("", max_tokens=1)) as bill:
            bill.answered(answer())
    assert at.cashier.variant(call, at.trail(call)) == "cheap"
    assert at.cashier.variant(at.call(BOB), at.trail()) == ""
    at.budgets.configure((budget(limit=1_600_000, ladder=LADDER),))
    trail = at.trail(call)
    with pytest.raises(BudgetExceededError):
        at.cashier.variant(call, trail)
    assert trail.degraded == "reject"


async def test_a_broken_journal_refuses_only_where_a_budget_is(tmp_path: Path) -> None:
    """Others are answered, and their cost is told."""
    path = tmp_path / "money.sqlite"
    path.write_bytes(b"no journal at all" * 500)
    limited = budget(limit=PLENTY, match={"department": "support"})
    async with opened(path, [limited]) as budgets:
        at = Desk(budgets, ManualClock(NOON))
        assert budgets.failure
        with pytest.raises(BudgetUnavailableError):
            await paid(at.till())
        assert await paid(at.till(BOB)) == Paid(COST)


REFUSALS = (BudgetExceededError("no"), BudgetBusyError("no"), UnboundedError("no"))


@pytest.mark.parametrize("error", [*REFUSALS, unpriced(OWN, Account("b", "", 0, 1, 1))])
async def test_a_leader_s_refusal_is_no_word_on_its_followers(desk, error: Any) -> None:
    """They fly again, on their own account."""
    at = await desk()
    error.payer = payer_of(BOB)
    trail, flights = at.trail(), iter([error, None])

    async def board() -> str:
        trail.joined("r0")
        if failed := next(flights):
            raise failed
        return "answer"

    assert await shared(trail, ANN, board) == "answer"


@pytest.mark.parametrize(("leads", "payer"), [(True, BOB), (False, ANN)])
async def test_a_refusal_of_one_s_own_is_final(desk, leads: bool, payer: Caller) -> None:
    """Asked again it would be the same."""
    at = await desk()
    trail, tries = at.trail(), 0

    async def board() -> str:
        nonlocal tries
        tries += 1
        trail.outcome = Outcome.MISS if leads else Outcome.COALESCED
        error = BudgetExceededError("no")
        error.payer = payer_of(payer)
        raise error

    with pytest.raises(BudgetExceededError):
        await shared(trail, ANN, board)
    assert tries == 1

"""Who is asked for embeddings, how often, and what is kept; the provider's ledger as oracle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from sidecar.budget.local import LocalBudgets
from sidecar.budget.prices import PriceTable
from sidecar.budget.terms import Budget
from sidecar.clock import SystemClock
from sidecar.config.money import Price
from sidecar.domain import Call, Caller
from sidecar.embedding_fill import comparable
from sidecar.errors import (
    AllTargetsFailedError,
    InvalidRequestError,
    OverloadedError,
    UpstreamError,
    UpstreamRefusedError,
)
from sidecar.route.policy import BreakerPolicy
from sidecar.route.table import Route, Target
from sidecar.tasks import Tasks
from sidecar.trail import Trail
from tests.embedding import ONCE, Bench, bench
from tests.providers.asking import until

P, Q = Target("p", "e"), Target("q", "e")


@pytest.fixture
async def made(tasks: Tasks) -> AsyncIterator[Bench]:
    """By the real clock: what waits, waits."""
    async with bench(SystemClock(), tasks) as made:
        yield made


def story(trail: Trail) -> list[tuple[str, str]]:
    """Every attempt, by provider and reason."""
    return [(attempt.provider, attempt.reason) for attempt in trail.attempts]


async def test_a_target_is_asked_again(made: Bench) -> None:
    """As its policy allows; the row has each try, the ledger as many."""
    made.script({"status": 503, "times": 2})
    _, trail = await made.ask("a")
    assert story(trail) == [("p", "overloaded")] * 2 + [("p", "ok")]
    assert len(made.ledger) == 3


async def test_a_lost_reply_is_not_asked_for_again(made: Bench) -> None:
    """It may have been paid for; another target is asked."""
    made.script({"lost_reply": True, "times": 1})
    made.route(P, fallbacks=[Q])
    _, trail = await made.ask("a")
    assert [provider for provider, _ in story(trail)] == ["p", "q"]


async def test_everyone_who_failed_is_named(made: Bench) -> None:
    """In the error, which the row tells too."""
    made.script({"status": 500})
    made.route(P, fallbacks=[Q], retry=ONCE)
    trail = made.trail()
    with pytest.raises(AllTargetsFailedError) as raised:
        await made.ask("a", trail=trail)
    assert story(trail) == [("p", "status_500"), ("q", "status_500")]
    assert raised.value.attempts == tuple(trail.attempts)


async def test_who_is_busy_leaves_it_to_the_next(made: Bench) -> None:
    """Its fallback's vectors are given, and not kept."""
    made.script({"status": 429, "times": 1})
    made.route(P, fallbacks=[Q], retry=ONCE)
    reply, trail = await made.ask("a")
    assert (story(trail), trail.store_reason) == ([("p", "rate_limited"), ("q", "ok")], "fallback")
    assert (reply.cached, (await made.ask("a"))[0].cached) == (0, 0)


async def test_a_fallback_is_kept_where_config_says_so(made: Bench) -> None:
    """Set while it runs, as a reload does."""
    made.filler.store_fallback = True
    made.script({"status": 429, "times": 1})
    made.route(P, fallbacks=[Q], retry=ONCE)
    await made.ask("a")
    assert (await made.ask("a"))[0].cached == 1


async def test_a_callers_fault_ends_it(made: Bench) -> None:
    """Nobody else would answer it either."""
    made.script({"status": 400})
    made.route(P, fallbacks=[Q])
    with pytest.raises(UpstreamRefusedError):
        await made.ask("a")
    assert len(made.ledger) == 1


def test_a_fallback_of_another_model_is_not_asked() -> None:
    """Its vectors can't be compared; one with the name of any of the targets can."""
    same = [Target("q", "e"), Target("r", "deployment")]
    way = Route("e", (P, Target("az", "deployment")), fallbacks=(Target("q", "other"), *same))
    assert list(comparable(way).fallbacks) == same


async def test_whoever_cannot_stand_in_is_not_asked(made: Bench) -> None:
    """Though nobody else is left."""
    made.script({"status": 500})
    made.route(P, fallbacks=[Target("q", "other")], retry=ONCE)
    with pytest.raises(UpstreamError):
        await made.ask("a")
    assert [row["model"] for row in made.ledger] == ["e"]


async def test_who_makes_no_embeddings_is_passed_over_by_name(made: Bench) -> None:
    """And where there is no other, the refusal names it; nothing is sent."""
    made.route(Target("chat-only", "e"), fallbacks=[Q])
    _, trail = await made.ask("a")
    assert story(trail) == [("chat-only", "untranslatable"), ("q", "ok")]
    made.route(Target("chat-only", "e"))
    with pytest.raises(InvalidRequestError, match="chat-only") as raised:
        await made.ask("b")
    assert (raised.value.param, len(made.ledger)) == ("model", 1)


async def test_a_failing_target_is_left_alone(made: Bench) -> None:
    """Its breaker is the one that operators see; who was passed over is named."""
    made.route(P, fallbacks=[Q], retry=ONCE, breaker=BreakerPolicy(2, 30, 30))
    for item in "ab":
        made.script({"status": 500, "times": 1})
        await made.ask(item)
    assert made.dispatcher.states()["p", "e"]["state"] == "open"
    _, trail = await made.ask("c")
    assert story(trail) == [("p", "breaker_open"), ("q", "ok")]
    assert len(made.ledger) == 5


async def test_an_outage_is_not_multiplied(made: Bench) -> None:
    """Retries have a budget: ten at once, and a fifth of the calls."""
    made.script({"status": 500})
    made.route(breaker=BreakerPolicy(10_000, 30, 30))
    for number in range(40):
        with pytest.raises(UpstreamError):
            await made.ask(str(number))
    assert 40 + 10 <= len(made.ledger) <= 40 + 10 + 40 * 0.2 + 5


async def test_a_model_takes_so_many_calls_at_once(made: Bench) -> None:
    """One more is told to come again; the place is free when the call is over."""
    made.script({"delay_ms": 100, "times": 1})
    made.route(max_in_flight=1)
    first = asyncio.create_task(made.ask("a"))
    await until(lambda: made.dispatcher.in_flight == {"e": 1})
    with pytest.raises(OverloadedError, match="max_in_flight"):
        await made.ask("b")
    await first
    assert (await made.ask("b"))[0].cached == 0
    assert made.dispatcher.in_flight == {}


async def test_a_call_that_is_given_up_is_in_the_trail(made: Bench) -> None:
    """And nobody else is asked."""
    made.script({"delay_ms": 60_000})
    made.route(P, fallbacks=[Q])
    trail = made.trail()
    asking = asyncio.create_task(made.ask("a", trail=trail))
    await until(lambda: len(made.ledger) == 1)
    asking.cancel()
    await asyncio.wait([asking])
    await until(lambda: bool(trail.attempts))
    assert story(trail) == [("p", "cancelled")]


async def test_a_session_sticks_to_its_target(made: Bench) -> None:
    """Where the route says so."""
    made.route(P, Q, sticky="session")

    def call() -> Call:
        return made.call(Caller(session="s1"), no_store=True)

    asked = {(await made.ask("a", call=call()))[1].answered_provider for _ in range(20)}
    assert len(asked) == 1


def priced(made: Bench, *budgets: Budget) -> LocalBudgets:
    """The bench's budgets, with a price of a dollar for a million tokens of `e`."""
    cashier = made.filler.cashier
    cashier.prices = PriceTable({"e": Price(input=Decimal(1), output=Decimal(0))})
    cashier.budgets.configure(budgets)
    return cashier.budgets


async def test_who_makes_no_embeddings_costs_nothing_behind_one_that_was_paid(made: Bench) -> None:
    """What the attempt before it has cost stands in the row once."""
    priced(made)
    made.script({"lost_reply": True, "times": 1})
    chat_only = Target("chat-only", "e")
    made.route(P, fallbacks=[chat_only, Q], retry=ONCE)
    _, trail = await made.ask("a b c")
    costs = [attempt.cost_nanousd for attempt in trail.attempts]
    assert [attempt.provider for attempt in trail.attempts] == ["p", "chat-only", "q"]
    assert costs[0] > costs[1] == 0
    assert costs[2] == 3 * 1000  # its three words


async def test_a_cost_that_nobody_tells_is_bounded_by_the_items(made: Bench) -> None:
    """Without a budget too, however long they are."""
    priced(made)
    made.script({"lost_reply": True, "times": 1})
    made.route(P, fallbacks=[Q], retry=ONCE)
    _, trail = await made.ask("word " * 1000)
    assert trail.attempts[0].cost_nanousd >= 1000 * 1000

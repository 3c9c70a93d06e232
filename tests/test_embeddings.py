"""What no request over HTTP can show of embeddings: times, purges and requests under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sidecar.cache.entry import Selector
from sidecar.clock import ManualClock
from sidecar.domain import Caller, Outcome, Usage
from sidecar.errors import ModelNotFoundError, UpstreamRefusedError, UpstreamTimeoutError
from sidecar.route.table import TARGETS, Route, RouteTable, Target
from sidecar.tasks import Tasks
from sidecar.trail import Trail
from tests.embedding import Bench, bench
from tests.providers.asking import until


@pytest.fixture
async def made(clock: ManualClock, tasks: Tasks) -> AsyncIterator[Bench]:
    """By a still clock."""
    async with bench(clock, tasks) as made:
        yield made


async def test_an_entry_lives_as_long_as_config_says(made: Bench, clock: ManualClock) -> None:
    """The reply tells what is left of the oldest item's time, and its age."""
    await made.ask("a")
    clock.advance(20)
    await made.ask("b")
    clock.advance(20)
    reply, trail = await made.ask("b", "a")
    assert (reply.cached, reply.ttl_s, trail.age_s) == (2, 20, 40)
    clock.advance(25)
    reply, _ = await made.ask("b", "a")
    assert (reply.cached, reply.is_partial) == (1, True)


async def test_a_client_may_want_it_younger(made: Bench, clock: ManualClock) -> None:
    """`max-age`: what is older is asked for again, and that is the reason."""
    await made.ask("a")
    clock.advance(10)
    assert (await made.ask("a", max_age_s=10))[0].cached == 1
    reply, trail = await made.ask("a", max_age_s=9)
    assert (reply.cached, trail.reason) == (0, "too_old")


async def test_a_purge_holds_against_a_request_under_way(made: Bench) -> None:
    """Its vectors are given to who asked, and not stored."""
    made.script({"delay_ms": 50})
    asking = asyncio.create_task(made.ask("a"))
    await until(lambda: len(made.ledger) == 1)
    await made.cache.forget(Selector("all"))
    reply, trail = await asking
    assert (len(reply.vectors), trail.stored, len(made.cache)) == (1, False, 0)


async def test_usage_that_nobody_told_is_not_known(made: Bench) -> None:
    """The row has none; the reply, which must have one, says zero."""
    made.script({"usage": None})
    reply, trail = await made.ask("a")
    assert (reply.usage, trail.usage) == (Usage(0, 0), None)


async def test_another_table_holds_from_the_next_request_on(
    made: Bench, clock: ManualClock
) -> None:
    """A toggle or another config."""
    made.embeddings.routes = RouteTable({})
    with pytest.raises(ModelNotFoundError):
        await made.ask("a")


async def test_a_variant_has_vectors_of_its_own(made: Bench) -> None:
    """Another model's vectors would be of no use."""
    await made.ask("a")
    routes = {name: Route("e", (Target("p", name),), variant=name) for name in (TARGETS, "big")}
    made.embeddings.routes = RouteTable({"e": routes}, {"e": "big"})
    assert (await made.ask("a"))[0].cached == 0
    assert [row["model"] for row in made.ledger] == ["e", "big"]


async def crowd(made: Bench, count: int, *items: str) -> list[tuple[Trail, asyncio.Task]]:
    """So many who ask for the same, each with its trail, all of them on their way."""
    trails = [made.trail() for _ in range(count)]
    riders = [(trail, asyncio.create_task(made.ask(*items, trail=trail))) for trail in trails]
    await until(lambda: len(made.ledger) >= 1)
    return riders


async def test_the_same_at_the_same_time_is_asked_for_once(made: Bench) -> None:
    """Everyone has the vectors, in the order of its own request; the first one pays."""
    made.script({"delay_ms": 50})
    riders = await crowd(made, 5, "a", "b")
    turned = asyncio.create_task(made.ask("b", "a", "b"))
    replies = [(await rider)[0] for _, rider in riders]
    (reply, trail), first = await turned, riders[0][0]
    assert made.seen == [["a", "b"]]
    assert len({each.vectors for each in replies}) == 1
    assert reply.vectors == tuple(replies[0].vectors[place] for place in (1, 0, 1))
    assert [each.outcome for each, _ in riders] == [Outcome.MISS] + [Outcome.COALESCED] * 4
    assert trail.close(200).joined
    assert [decision.detail["leader"] for decision in trail.close(200).decisions
            if decision.stage == "flight"] == [first.call.id]  # fmt: skip


async def test_only_what_is_missing_makes_requests_the_same(made: Bench) -> None:
    """What the cache has beside it does not matter."""
    await made.ask("known")
    made.script({"delay_ms": 50})
    replies = await asyncio.gather(made.ask("new", "known"), made.ask("known", "new"))
    assert made.seen == [["known"], ["new"]]
    assert [reply.cached for reply, _ in replies] == [1, 1]


async def test_nobody_is_refused_for_what_another_asked(made: Bench) -> None:
    """A bad item spoils its own request; one that shares another item with it flies alone."""
    bad, good = await asyncio.gather(made.ask("", "b"), made.ask("b"), return_exceptions=True)
    assert isinstance(bad, UpstreamRefusedError)
    assert good[0].cached == 0


async def test_a_failure_is_everyones(made: Bench) -> None:
    """With the attempts in each row; nobody asks again in turn."""
    made.script({"status": 400, "delay_ms": 50})
    riders = await crowd(made, 4, "a")
    told = await asyncio.gather(*(rider for _, rider in riders), return_exceptions=True)
    assert [type(each) for each in told] == [UpstreamRefusedError] * 4
    assert [[attempt.status for attempt in trail.attempts] for trail, _ in riders] == [[400]] * 4
    assert len(made.ledger) == 1


async def test_a_leader_that_leaves_strands_nobody(made: Bench) -> None:
    """The work goes on for the rest; one of them accounts for it, the others don't."""
    made.script({"delay_ms": 50})
    riders = await crowd(made, 3, "a")
    riders[0][1].cancel()
    replies = [(await rider)[0] for _, rider in riders[1:]]
    assert [len(reply.vectors) for reply in replies] == [1, 1]
    assert len(made.ledger) == 1
    told = [trail.close(200) for trail, _ in riders]
    assert told[0].joined
    assert sorted(row.joined for row in told[1:]) == [False, True]
    assert [attempt.reason for row in told for attempt in row.attempts] == ["ok"] * 3


async def test_who_stayed_is_told_what_was_tried(made: Bench) -> None:
    """Though the request whose trail it was is gone."""
    made.script({"status": 400, "delay_ms": 50})
    riders = await crowd(made, 2, "a")
    riders[0][1].cancel()
    trail, rider = riders[1]
    with pytest.raises(UpstreamRefusedError):
        await rider
    assert [attempt.status for attempt in trail.attempts] == [400]


async def test_who_wants_it_new_gets_it_new(made: Bench) -> None:
    """`no-cache` asks though it is at hand, and what comes is kept."""
    await made.ask("a")
    reply, trail = await made.ask("a", no_cache=True)
    assert (reply.cached, trail.stored, len(made.ledger)) == (0, True, 2)


async def test_what_may_not_be_kept_is_not(made: Bench) -> None:
    """`no-store`, and a time to live of zero."""
    for controls in ({"no_store": True}, {"ttl_s": 0}):
        _, trail = await made.ask("a", **controls)
        assert (trail.stored, len(made.cache)) == (False, 0)


async def test_what_nobody_waits_for_is_ended(made: Bench) -> None:
    """At the provider too."""
    made.script({"delay_ms": 60_000})
    riders = await crowd(made, 2, "a")
    for _, rider in riders:
        rider.cancel()
    await until(lambda: [row["outcome"] for row in made.ledger] == ["left"])
    assert made.dispatcher.in_flight == {}


@pytest.mark.parametrize("alone", [{"no_store": True}, {"no_cache": True}])
async def test_who_may_not_read_flies_alone(made: Bench, alone: dict[str, bool]) -> None:
    """It wants vectors of its own."""
    made.script({"delay_ms": 50})
    await asyncio.gather(made.ask("a", **alone), made.ask("a", **alone), made.ask("a"))
    assert len(made.ledger) == 3


async def test_users_with_keys_of_their_own_share_nothing(made: Bench) -> None:
    """Each pays with its own key."""
    made.script({"delay_ms": 50})
    callers = [Caller(client_key_digest=digest) for digest in ("x", "y")]
    await asyncio.gather(*(made.ask("a", call=made.call(caller)) for caller in callers))
    assert len(made.ledger) == 2


async def test_a_caller_waits_no_longer_than_it_said(made: Bench) -> None:
    """Its own time is over; who shares its flight has more."""
    made.script({"delay_ms": 200})
    patient = asyncio.create_task(made.ask("a"))
    await until(lambda: len(made.ledger) == 1)
    hurried = replace(made.call(), timeout_s=0.02)
    with pytest.raises(UpstreamTimeoutError, match="x-sidecar-timeout-ms"):
        await made.ask("a", call=hurried)
    assert not patient.done()
    assert (len((await patient)[0].vectors), len(made.ledger)) == (1, 1)


@pytest.mark.parametrize(("items", "outcome"), [("a", Outcome.EXACT), ("ab", Outcome.MISS)])
async def test_what_landed_meanwhile_is_not_asked_for_again(
    made: Bench, items: str, outcome: Outcome
) -> None:
    """Who looked before it came, and flies after it, finds it by the second look."""
    seen = made.cache.late = asyncio.Event()
    late = asyncio.create_task(made.ask(*items))
    await until(lambda: made.cache.late is None)
    first, _ = await made.ask("a")
    seen.set()
    reply, trail = await late
    assert made.seen == [["a"], *([item] for item in items[1:])]
    assert (reply.vectors[0], reply.cached, trail.outcome) == (first.vectors[0], 1, outcome)


async def test_what_landed_meanwhile_may_be_too_old_already(
    made: Bench, clock: ManualClock
) -> None:
    """The second look takes no more than the first would."""
    seen = made.cache.late = asyncio.Event()
    late = asyncio.create_task(made.ask("a", max_age_s=5))
    await until(lambda: made.cache.late is None)
    await made.ask("a")
    clock.advance(6)
    seen.set()
    assert ((await late)[0].cached, len(made.ledger)) == (0, 2)

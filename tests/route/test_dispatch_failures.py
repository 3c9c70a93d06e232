"""A failing provider: asked again, passed over or passed on. Its own ledger is the oracle."""

import asyncio
from dataclasses import replace

import pytest

from sidecar.domain import Timeouts
from sidecar.errors import (
    AllTargetsFailedError,
    OverloadedError,
    TargetsBusyError,
    UpstreamError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)
from sidecar.events import BreakerChanged, FirstToken
from sidecar.route.policy import BreakerPolicy, RetryPolicy
from sidecar.route.table import Target

WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
REPEATABLE = [429, 500, 502, 503, 529]
AMBIGUOUS = RetryPolicy(attempts=3, base_s=0.002, max_s=0.05, ambiguous=True)


def assert_trail_is_the_ledgers(bench, asked) -> None:
    """Every call that the provider saw is told, in its order, and no other."""
    assert [(a.model, a.status or 200) for a in asked.attempts] == [
        (model, status) for model, status, _ in bench.ledger
    ]


@WAYS
@pytest.mark.parametrize("status", REPEATABLE)
async def test_a_failure_that_passes_is_waited_out(bench, route, make_call, stream, status):
    """The answer is the target's own; both failures are told."""
    bench.script({"status": status, "times": 2})
    asked = await bench.ask(make_call(stream=stream), route())
    assert asked.answered.completion.choices[0].text
    assert [a.status for a in asked.attempts] == [status, status, 200]
    assert_trail_is_the_ledgers(bench, asked)


@WAYS
@pytest.mark.parametrize("status", REPEATABLE)
async def test_a_failure_that_lasts_goes_to_the_next(bench, route, make_call, stream, status):
    """After as many tries as the policy says, and the fallback's answer is marked as one."""
    bench.script({"match": {"model": "first"}, "status": status})
    asked = await bench.ask(make_call(stream=stream), route("first", fallbacks=("spare",)))
    assert asked.models == ["first"] * 3 + ["spare"]
    assert (asked.answered.target.model, asked.answered.is_fallback) == ("spare", True)
    assert_trail_is_the_ledgers(bench, asked)


async def test_other_targets_come_before_fallbacks(bench, route, make_call):
    """Their answer is no stand-in's."""
    bench.script({"match": {"model": "first"}, "status": 500})
    weighted = replace(
        route("first", "second", fallbacks=("spare",)),
        targets=(Target("sim", "first", 1e9), Target("sim", "second", 1)),
    )
    asked = await bench.ask(make_call(), weighted)
    assert (asked.answered.target.model, asked.answered.is_fallback) == ("second", False)


async def test_a_dead_address_is_never_sent_to_and_asked_again(bench, route, make_call):
    """A refused connection is repeated safely."""
    dead = replace(route(fallbacks=("spare",)), targets=(Target("dead", "m"),))
    asked = await bench.ask(make_call(), dead)
    assert asked.reasons == ["connect", "connect", "connect", "ok"]
    assert [model for model, *_ in bench.ledger] == ["spare"]


@WAYS
@pytest.mark.parametrize(
    "fault", [{"lost_reply": True}, {"cut_after_events": 1}], ids=["lost", "cut"]
)
async def test_a_lost_reply_is_not_sent_again_in_silence(bench, route, make_call, stream, fault):
    """It was billed; only another target that config names may be asked."""
    bench.script({"match": {"model": "first"}, **fault})
    asked = await bench.ask(make_call(stream=stream), route())
    assert isinstance(asked.error, UpstreamError)
    assert len(bench.ledger) == len(asked.attempts) == 1
    asked = await bench.ask(make_call(stream=stream), route(fallbacks=("spare",)))
    assert asked.models == ["first", "spare"]
    assert asked.answered.is_fallback


async def test_a_lost_reply_is_sent_again_where_the_policy_allows(bench, route, make_call):
    """Then each is told."""
    bench.script({"lost_reply": True, "times": 2})
    asked = await bench.ask(make_call(), route(retry=AMBIGUOUS))
    assert asked.reasons[2:] == ["ok"]
    assert_trail_is_the_ledgers(bench, asked)


@pytest.mark.parametrize("stream", [False, True], ids=["total", "first-token"])
async def test_a_slow_target_is_left_for_the_next(bench, route, make_call, stream):
    """Once its time is over, and without a second try."""
    bench.script({"match": {"model": "first"}, "delay_ms": 5000})
    timeouts = Timeouts(first_token_s=0.05, total_s=0.3 if stream else 0.05)
    asked = await bench.ask(
        make_call(stream=stream), route("first", fallbacks=("spare",), timeouts=timeouts)
    )
    late = "timeout_first_token" if stream else "timeout_total"
    assert asked.reasons == [late, "ok"]


async def test_targets_that_are_all_too_slow_are_a_timeout(bench, route, make_call):
    """504, naming both."""
    bench.script({"delay_ms": 5000})
    asked = await bench.ask(
        make_call(), route("first", fallbacks=("spare",), timeouts=Timeouts(total_s=0.05))
    )
    assert isinstance(asked.error, UpstreamTimeoutError)
    assert asked.models == ["first", "spare"]


async def test_the_time_to_wait_is_obeyed(bench, route, make_call):
    """Not a moment sooner than told."""
    bench.script({"status": 429, "retry_after": 0.05, "times": 1})
    asked = await bench.ask(make_call(), route())
    assert asked.reasons[-1] == "ok"
    loop = asyncio.get_running_loop()
    began = loop.time()
    bench.script({"status": 503, "retry_after": 0.05, "times": 1})
    await bench.ask(make_call(), route())
    assert loop.time() - began >= 0.05


async def test_a_longer_wait_than_the_routes_goes_to_the_next_at_once(bench, route, make_call):
    """Nobody waits a minute where another can answer now."""
    bench.script({"match": {"model": "first"}, "status": 429, "retry_after": 60})
    asked = await bench.ask(make_call(), route("first", fallbacks=("spare",)))
    assert asked.models == ["first", "spare"]


async def test_limits_on_every_side_are_a_rate_limit(bench, route, make_call):
    """429 with the soonest time, every attempt named."""
    bench.script(
        {"match": {"model": "first"}, "status": 429, "retry_after": 60},
        {"match": {"model": "spare"}, "status": 429, "retry_after": 30},
    )
    asked = await bench.ask(make_call(), route("first", fallbacks=("spare",)))
    assert isinstance(asked.error, TargetsBusyError)
    assert asked.error.headers["retry-after"] == "30"
    assert asked.models == ["first", "spare"]


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_the_callers_fault_is_passed_on(bench, route, make_call, status):
    """Once asked, nobody else bothered."""
    bench.script({"status": status})
    asked = await bench.ask(make_call(), route("first", "second", fallbacks=("spare",)))
    assert isinstance(asked.error, UpstreamRefusedError)
    assert asked.error.upstream_status == status
    assert len(bench.ledger) == 1


async def test_a_whole_dead_chain_names_everyone(bench, route, make_call):
    """503 with each attempt, as the ledger has them."""
    bench.script({"status": 500})
    asked = await bench.ask(make_call(), route("first", fallbacks=("second", "third")))
    assert isinstance(asked.error, AllTargetsFailedError)
    assert asked.models == ["first"] * 3 + ["second"] * 3 + ["third"] * 3
    assert_trail_is_the_ledgers(bench, asked)


@pytest.mark.parametrize("events", [2, 3])
async def test_a_stream_that_dies_after_its_first_content_is_not_begun_anew(
    bench, route, make_call, events
):
    """What the client has read can't be taken back, so the error ends it."""
    bench.script({"match": {"model": "first"}, "cut_after_events": events})
    asked = await bench.ask(make_call(stream=True), route("first", fallbacks=("spare",)))
    assert isinstance(asked.error, UpstreamError)
    assert (asked.models, asked.reasons) == (["first"], ["cut"])
    assert len(asked.chunks) == events
    assert asked.text


async def test_of_a_stream_that_died_before_nothing_is_seen(bench, route, make_call):
    """The client reads one answer, of one target, from its start."""
    bench.script({"match": {"model": "first"}, "cut_after_events": 1})
    asked = await bench.ask(make_call(stream=True), route("first", fallbacks=("spare",)))
    assert asked.text == asked.answered.completion.choices[0].text
    assert {chunk.model for chunk in asked.chunks} == {"spare"}
    (first,) = [event for event in bench.told if isinstance(event, FirstToken)]
    assert (first.model, first.seconds > 0) == ("spare", True)


async def test_a_breaker_keeps_calls_away(bench, route, make_call):
    """After so many failures the target is passed over, and named."""
    bench.script({"match": {"model": "first"}, "status": 500})
    guarded = route(
        "first", fallbacks=("spare",), breaker=BreakerPolicy(3, 30.0, 30.0),
    )  # fmt: skip
    await bench.ask(make_call(), guarded)
    assert bench.dispatcher.states()["sim", "first"]["state"] == "open"
    asked = await bench.ask(make_call(), guarded)
    assert asked.reasons == ["breaker_open", "ok"]
    assert [model for model, *_ in bench.ledger] == ["first"] * 3 + ["spare"] * 2
    (changed,) = [event for event in bench.told if isinstance(event, BreakerChanged)]
    assert changed == BreakerChanged("sim", "first", 2)


async def test_a_probe_brings_a_target_back(bench, route, make_call):
    """Once its time is over, one call goes and the breaker closes."""
    bench.script({"match": {"model": "first"}, "status": 500, "times": 3})
    guarded = route("first", fallbacks=("spare",), breaker=BreakerPolicy(3, 30.0, 0.02))
    await bench.ask(make_call(), guarded)
    await asyncio.sleep(0.03)
    asked = await bench.ask(make_call(), guarded)
    assert (asked.models, asked.reasons) == (["first"], ["ok"])
    states = [event.state for event in bench.told if isinstance(event, BreakerChanged)]
    assert states == [2, 1, 0]


async def test_with_every_breaker_open_one_call_at_a_time_goes(bench, route, make_call):
    """Of fifty at once one is a probe; the others are told at once whom nobody asked."""
    bench.script({"status": 500})
    guarded = route("first", fallbacks=("spare",), breaker=BreakerPolicy(3, 30.0, 30.0))
    await bench.ask(make_call(), guarded)
    bench.script({"delay_ms": 100})
    calls = [bench.ask(make_call(), guarded) for _ in range(50)]
    stories = await asyncio.gather(*calls)
    answered = [asked for asked in stories if asked.answered]
    assert len(answered) == 1
    assert answered[0].reasons == ["breaker_open", "ok"]
    assert answered[0].models == ["spare", "first"]
    for asked in stories:
        if asked.error:
            assert isinstance(asked.error, AllTargetsFailedError)
            assert asked.reasons == ["breaker_open", "breaker_open"]
    assert bench.dispatcher.states()["sim", "first"]["state"] == "closed"


async def test_a_probe_of_the_only_target_is_told_as_what_it_is(bench, route, make_call):
    """One attempt in the trail and in the ledger, and its own error; no wait before it ends."""
    bench.script({"status": 500})
    slow = RetryPolicy(attempts=3, base_s=600.0, max_s=600.0)
    alone = route(retry=slow, breaker=BreakerPolicy(1, 30.0, 30.0))
    for _ in range(2):
        asked = await bench.ask(make_call(), alone)
        assert asked.reasons == ["status_500"]
        assert asked.error.upstream_status == 500
    assert len(bench.ledger) == 2


async def test_probes_of_an_outage_are_spaced(bench, route, make_call):
    """A hundred calls after the last failed probe ask nobody, and are told whom they would."""
    bench.script({"status": 500})
    alone = route(breaker=BreakerPolicy(1, 30.0, 30.0))
    for _ in range(2):
        await bench.ask(make_call(), alone)
    stories = [await bench.ask(make_call(), alone) for _ in range(100)]
    assert {tuple(asked.reasons) for asked in stories} == {("breaker_open",)}
    assert all(isinstance(asked.error, AllTargetsFailedError) for asked in stories)
    assert len(bench.ledger) == 2


async def test_a_breaker_that_others_opened_ends_the_wait(bench, route, make_call):
    """Who slept before its second try finds the door shut."""
    bench.script({"status": 500})
    retry = RetryPolicy(attempts=2, base_s=0.1, max_s=0.1)
    guarded = route(retry=retry, breaker=BreakerPolicy(2, 30.0, 30.0))
    stories = await asyncio.gather(*(bench.ask(make_call(), guarded) for _ in range(2)))
    assert [len(asked.attempts) for asked in stories] == [1, 1]
    assert len(bench.ledger) == 2


@pytest.mark.parametrize("status", [429, 400, 404])
async def test_answers_open_no_breaker(bench, route, make_call, status):
    """A target that refuses, or asks for a pause, is well."""
    bench.script({"status": status})
    for _ in range(4):
        await bench.ask(make_call(), route(breaker=BreakerPolicy(2, 30.0, 30.0)))
    assert bench.dispatcher.states()["sim", "first"]["state"] == "closed"


async def test_an_outage_is_not_multiplied(bench, route, make_call):
    """Two hundred failing calls cost a fifth more and a few, not three times as many."""
    bench.script({"status": 500})
    patient = route(breaker=BreakerPolicy(10_000, 30.0, 30.0))
    for _ in range(10):
        await asyncio.gather(*(bench.ask(make_call(), patient) for _ in range(20)))
    assert 230 <= len(bench.ledger) <= 200 * 1.2 + 15


async def test_calls_in_flight_are_bounded(bench, route, make_call):
    """What is too much is refused at once, and places are given back."""
    bench.script({"delay_ms": 100})
    narrow = route(max_in_flight=2)
    stories = await asyncio.gather(*(bench.ask(make_call(), narrow) for _ in range(5)))
    errors = [asked.error for asked in stories if asked.error]
    assert len(errors) == 3
    assert all(isinstance(error, OverloadedError) for error in errors)
    assert errors[0].headers["retry-after"] == "1"
    assert bench.dispatcher.in_flight == {}
    assert len(bench.ledger) == 2

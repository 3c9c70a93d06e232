"""One flight per key: shared by all who want the same, owned by none of them."""

import asyncio

import pytest

from sidecar.singleflight import Flight
from tests.flying import KEY, CrashError, idle, ride, start, watch


async def test_a_hundred_callers_of_one_key_cost_one_run(flights, job):
    """All get the one result."""
    callers = start(lambda: ride(flights, job), 100)
    await idle()
    job.do("land", "answer")
    assert await asyncio.gather(*callers) == ["answer"] * 100
    assert job.runs == 1


async def test_other_keys_fly_on_their_own(flights, job):
    """What is not the same is not shared."""
    callers = [asyncio.ensure_future(ride(flights, job, key)) for key in (b"a", b"b")]
    await idle()
    assert (job.runs, len(flights)) == (2, 2)
    job.do("land", 1)
    job.do("land", 2)
    assert sorted(await asyncio.gather(*callers)) == [1, 2]


async def test_a_flight_without_a_key_is_private(flights, job):
    """Who may not share, shares with nobody, and stands in no table."""
    callers = start(lambda: ride(flights, job, None), 2)
    await idle()
    assert (job.runs, len(flights)) == (2, 0)
    job.do("land", 1)
    job.do("land", 1)
    await asyncio.gather(*callers)


async def test_a_failed_flight_gives_its_error_to_all_and_is_not_retried(flights, job):
    """Followers don't queue up to fail one after the other."""
    callers = start(lambda: ride(flights, job), 10)
    await idle()
    job.do("fail", CrashError("503"))
    errors = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(error) for error in errors] == [CrashError] * 10
    assert job.runs == 1


async def test_after_a_failure_the_next_caller_flies_anew(flights, job):
    """An error is not remembered."""
    (first,) = start(lambda: ride(flights, job))
    job.do("fail", CrashError())
    with pytest.raises(CrashError):
        await first
    (second,) = start(lambda: ride(flights, job))
    job.do("land", "better")
    assert await second == "better"


async def test_a_late_passenger_gets_all_events_from_the_first(flights, job):
    """Then the live ones, in their order."""
    (early,) = start(lambda: watch(flights, job))
    await idle()
    job.do("emit", 1)
    job.do("emit", 2)
    await idle()
    (late,) = start(lambda: watch(flights, job))
    await idle()
    job.do("emit", 3)
    job.do("land", None)
    assert await early == await late == [1, 2, 3]


async def test_events_end_with_the_works_error(flights, job):
    """A stream that was cut never looks like one that ended."""
    seen = []

    async def passenger() -> None:
        with flights.boarded(KEY, job) as flight:
            async for event in flight.events():
                seen.append(event)  # noqa: PERF401  what came before the error counts

    (caller,) = start(passenger)
    job.do("emit", 1)
    job.do("fail", CrashError())
    with pytest.raises(CrashError):
        await caller
    assert seen == [1]


async def test_departure_comes_with_the_first_event(flights, job):
    """A stream's head is sent when there is something to send."""
    with flights.boarded(KEY, job) as flight:
        (waiting,) = start(flight.departure)
        await idle()
        assert not waiting.done()
        job.do("emit", 1)
        await waiting
        assert (flight.has_events, flight.landed) == (True, False)


async def test_departure_raises_what_comes_before_the_first_event(flights, job):
    """So an early failure is still a status and no stream."""
    with flights.boarded(KEY, job) as flight:
        job.do("fail", CrashError())
        with pytest.raises(CrashError):
            await flight.departure()


async def test_departure_comes_with_a_landing_without_events(flights, job):
    """The second look may have found the answer whole."""
    with flights.boarded(KEY, job) as flight:
        job.do("land", "found")
        await flight.departure()
        assert (flight.has_events, await flight.result()) == (False, "found")


async def test_a_failure_after_the_first_event_lets_the_stream_depart(flights, job):
    """It is told in the stream then."""
    with flights.boarded(KEY, job) as flight:
        job.do("emit", 1)
        job.do("fail", CrashError())
        await idle()
        await flight.departure()


async def test_an_error_in_the_passengers_own_block_is_its_own(flights, job):
    """A bug of one caller neither ends the flight nor changes what the others get."""
    (follower,) = start(lambda: ride(flights, job))
    await idle()

    def buggy() -> None:
        with flights.boarded(KEY, job):
            raise LookupError

    with pytest.raises(LookupError):
        buggy()
    job.do("land", "answer")
    assert await follower == "answer"


async def test_followers_know_their_leader(flights, job):
    """The row of a request that joined names the one that asked."""
    with (
        flights.boarded(KEY, job, leader="first") as one,
        flights.boarded(KEY, job, leader="second") as other,
    ):
        assert one.leader == other.leader == "first"


async def test_a_caller_delayed_after_its_look_finds_the_answer_by_the_second(flights):
    """The interleaving of the module's docstring: B looked before A stored."""
    cache, asked = {}, []

    async def work(_: Flight) -> str:
        if KEY in cache:
            return cache[KEY]
        asked.append(1)
        await asyncio.sleep(0)
        cache[KEY] = "answer"
        return cache[KEY]

    delayed = asyncio.Event()

    async def caller(gate: asyncio.Event | None) -> str:
        if KEY in cache:
            return cache[KEY]
        if gate is not None:
            await gate.wait()
        return await ride(flights, work)

    (b,) = start(lambda: caller(delayed))
    await idle()
    (a,) = start(lambda: caller(None))
    assert await a == "answer"
    delayed.set()
    assert (await b, len(asked)) == ("answer", 1)


async def test_a_flight_that_was_never_launched_says_so():
    """A bug, told as one."""
    with pytest.raises(RuntimeError, match="never launched"):
        await Flight().result()

"""One flight per key: shared by all who want the same, owned by none of them."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.singleflight import Flight, FlightAbandonedError, Flights
from sidecar.tasks import Tasks

KEY = b"key"


class CrashError(Exception):
    """A provider's failure."""


@dataclass
class Job:
    """Work that does what the test says: emits, lands or fails."""

    runs: int = 0
    cancelled: int = 0
    orders: asyncio.Queue = field(default_factory=asyncio.Queue)

    async def __call__(self, flight: Flight) -> object:
        self.runs += 1
        try:
            while True:
                verb, value = await self.orders.get()
                if verb == "land":
                    return value
                if verb == "fail":
                    raise value
                flight.emit(value)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def do(self, verb: str, value: object) -> None:
        self.orders.put_nowait((verb, value))


@pytest.fixture
def job() -> Job:
    """Work that waits for orders."""
    return Job()


@pytest.fixture
def flights(tasks) -> Flights:
    """No flight under way."""
    return Flights(tasks)


async def idle() -> None:
    """Let all run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def ride(flights: Flights, work, key: bytes | None = KEY, leader: str = "") -> object:
    """Be a passenger who wants the result."""
    with flights.boarded(key, work, leader=leader) as flight:
        return await flight.result()


async def watch(flights: Flights, work, key: bytes | None = KEY) -> list:
    """Be a passenger who wants the events."""
    with flights.boarded(key, work) as flight:
        return [event async for event in flight.events()]


def start(work, count: int = 1) -> list[asyncio.Task]:
    """Passengers on their way."""
    return [asyncio.ensure_future(work()) for _ in range(count)]


async def leave(passenger: asyncio.Task) -> None:
    """Go as a client goes whose connection is lost."""
    passenger.cancel()
    await asyncio.wait([passenger])


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


async def test_the_leader_leaving_strands_nobody(flights, job):
    """The work belongs to the group."""
    leader, follower = start(lambda: ride(flights, job), 2)
    await idle()
    await leave(leader)
    job.do("land", "answer")
    assert await follower == "answer"
    assert (job.runs, job.cancelled) == (1, 0)


async def test_a_follower_leaving_disturbs_nobody(flights, job):
    """Neither the leader nor the work notices."""
    leader, follower = start(lambda: ride(flights, job), 2)
    await idle()
    await leave(follower)
    job.do("land", "answer")
    assert await leader == "answer"
    assert job.cancelled == 0


async def test_the_last_one_leaving_cancels_the_work(flights, tasks, job):
    """Nobody pays for an answer that nobody waits for."""
    passengers = start(lambda: ride(flights, job), 2)
    await idle()
    for passenger in passengers:
        await leave(passenger)
    await idle()
    assert (job.cancelled, len(tasks), len(flights)) == (1, 0, 0)


async def test_leaving_before_the_work_began_leaves_nothing(flights, tasks, job):
    """A caller cancelled at once costs no run."""
    with flights.boarded(KEY, job):
        pass
    await idle()
    assert (job.runs, len(tasks), len(flights)) == (0, 0, 0)


async def test_a_new_caller_does_not_board_a_dying_flight(flights, job):
    """Between the last leaving and the end of its cleanup the key is free already."""
    hold = asyncio.Event()

    async def slow_to_end(_: Flight) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await hold.wait()

    (first,) = start(lambda: ride(flights, slow_to_end))
    await idle()
    await leave(first)
    (second,) = start(lambda: ride(flights, job))
    await idle()
    job.do("land", "fresh")
    hold.set()
    assert await second == "fresh"


async def test_the_end_of_an_old_flight_does_not_remove_its_successor(flights, job):
    """What was abandoned forgets itself only, and not who took its key."""
    with flights.boarded(KEY, job):
        await idle()
    with flights.boarded(KEY, job) as successor:
        await idle()
        with flights.boarded(KEY, job) as joined:
            assert joined is successor


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


@pytest.mark.parametrize("place", ["departure", "events", "result"])
async def test_being_cancelled_while_waiting_leaks_no_task(flights, tasks, job, place):
    """Wherever a passenger is when its client leaves, nothing stays behind."""
    before = len(asyncio.all_tasks())

    async def passenger() -> None:
        with flights.boarded(KEY, job) as flight:
            if place == "events":
                async for _ in flight.events():
                    pass
            else:
                await getattr(flight, place)()

    (caller,) = start(passenger)
    await idle()
    await leave(caller)
    await idle()
    assert (job.cancelled, len(tasks), len(flights)) == (1, 0, 0)
    assert len(asyncio.all_tasks()) == before


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


async def test_closing_the_process_tells_who_still_waits(flights, tasks, job):
    """A flight cancelled from outside is an error of its own and no endless wait."""
    (caller,) = start(lambda: ride(flights, job))
    await idle()
    await tasks.close()
    with pytest.raises(FlightAbandonedError):
        await caller


async def test_a_flight_ended_before_it_began_holds_no_key(flights, tasks, job):
    """Or the next caller would board a flight that never flew."""
    (caller,) = start(lambda: ride(flights, job))
    await asyncio.sleep(0)
    await tasks.close()
    with pytest.raises(FlightAbandonedError):
        await caller
    assert (job.runs, len(flights)) == (0, 0)


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


class FlightsUnderWay(RuleBasedStateMachine):
    """Passengers come and go while the work emits, lands, fails; held against a model."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.tasks = Tasks()
        self.flights: Flights = Flights(self.tasks)
        self.job: Job | None = None
        self.jobs: list[Job] = []
        self.aboard: list[asyncio.Task] = []
        self.emitted: list[int] = []

    def teardown(self) -> None:
        for passenger in self.aboard:
            passenger.cancel()
        self.run_all()
        self.loop.run_until_complete(self.tasks.close())
        assert not asyncio.all_tasks(self.loop)
        self.loop.close()

    def run_all(self) -> None:
        self.loop.run_until_complete(idle())

    async def passenger(self) -> tuple[list[int], object]:
        with self.flights.boarded(KEY, self.work) as flight:
            seen = [event async for event in flight.events()]
            return seen, await flight.result()

    async def work(self, flight: Flight) -> object:
        return await self.job(flight)

    @rule()
    def board(self) -> None:
        if not self.aboard:
            self.job, self.emitted = Job(), []
            self.jobs.append(self.job)
        self.aboard.append(self.loop.create_task(self.passenger()))
        self.run_all()

    @precondition(lambda self: self.aboard)
    @rule(data=st.data())
    def one_leaves(self, data) -> None:
        gone = self.aboard.pop(data.draw(st.integers(0, len(self.aboard) - 1)))
        gone.cancel()
        self.run_all()
        assert gone.cancelled()

    @precondition(lambda self: self.aboard)
    @rule(event=st.integers())
    def emit(self, event: int) -> None:
        self.emitted.append(event)
        self.job.do("emit", event)
        self.run_all()

    @precondition(lambda self: self.aboard)
    @rule(result=st.integers())
    def land(self, result: int) -> None:
        self.job.do("land", result)
        self.run_all()
        assert [task.result() for task in self.aboard] == [(self.emitted, result)] * len(
            self.aboard
        )
        self.aboard = []

    @precondition(lambda self: self.aboard)
    @rule()
    def fail(self) -> None:
        error = CrashError()
        self.job.do("fail", error)
        self.run_all()
        assert all(task.exception() is error for task in self.aboard)
        self.aboard = []

    @invariant()
    def one_flight_while_anyone_is_aboard(self) -> None:
        expected = 1 if self.aboard else 0
        assert len(self.flights) == len(self.tasks) == expected

    @invariant()
    def nobody_is_stranded(self) -> None:
        assert not any(task.done() for task in self.aboard)

    @invariant()
    def no_group_costs_more_than_one_run(self) -> None:
        assert all(job.runs == 1 for job in self.jobs)


FlightsUnderWay.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestFlightsUnderWay = FlightsUnderWay.TestCase

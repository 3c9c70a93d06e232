"""Passengers come and go: none is stranded, and work that nobody waits for ends."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.singleflight import Flight, FlightAbandonedError, Flights
from sidecar.tasks import Tasks
from tests.flying import KEY, CrashError, Job, idle, leave, ride, start


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

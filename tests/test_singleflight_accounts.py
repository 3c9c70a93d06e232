"""On whose account shared work is: on one passenger's, whoever leaves when."""

import asyncio
from itertools import permutations

import pytest

from sidecar.singleflight import Flights
from tests.flying import KEY, idle, leave

NAMES = ("leader", "second", "third")


class Ride:
    """Passengers of one flight, who say at leaving whether it is on their account."""

    def __init__(self, flights: Flights, work) -> None:
        self._flights, self._work = flights, work
        self.told: dict[str, bool] = {}
        self.riders = {name: asyncio.ensure_future(self._ride(name)) for name in NAMES}

    async def _ride(self, name: str) -> None:
        with self._flights.boarded(KEY, self._work, leader=name) as flight:
            try:
                await flight.result()
            finally:
                self.told[name] = flight.leaves(name)

    @property
    def accounts(self) -> list[str]:
        """Who said yes."""
        return [name for name, is_theirs in self.told.items() if is_theirs]


@pytest.mark.parametrize("order", list(permutations(NAMES)))
@pytest.mark.parametrize("stay", [1, 2, 3])
async def test_exactly_one_has_it_on_its_account(flights, job, order, stay):
    """The leader where it stays to the end, else one that does."""
    ride = Ride(flights, job)
    await idle()
    for name in order[: len(NAMES) - stay]:
        await leave(ride.riders[name])
    job.do("land", "answer")
    await asyncio.wait(ride.riders.values())
    assert len(ride.accounts) == 1
    stayed = order[len(NAMES) - stay :]
    assert ride.accounts[0] in stayed
    assert ("leader" in stayed) is (ride.accounts == ["leader"])


@pytest.mark.parametrize("order", list(permutations(NAMES)))
async def test_when_all_leave_one_has_it_on_its_account(flights, job, order):
    """The work was begun and ended for nobody, and is told once even so."""
    ride = Ride(flights, job)
    await idle()
    for name in order:
        await leave(ride.riders[name])
    assert ride.accounts == [order[-1]]


async def test_the_end_of_forsaken_work_can_be_waited_for(flights, job):
    """What it notes as it ends is there then."""

    async def noting(flight) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            flight.notes.append("ended")

    with flights.boarded(KEY, noting) as flight:
        await idle()
    assert flight.notes == []
    await flight.forsaken()
    assert flight.notes == ["ended"]


async def test_work_that_others_wait_for_is_not_waited_for(flights, job):
    """Who leaves it goes at once."""
    with flights.boarded(KEY, job) as flight:
        with flights.boarded(KEY, job):
            await idle()
        await asyncio.wait_for(flight.forsaken(), 1)
        assert not flight.landed

"""Flights' work that does what a test says, and passengers who board, wait and leave."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sidecar.singleflight import Flight, Flights

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

"""The same key and body is answered once, however often and in whatever order it is asked.

Who asks while the answer is being made takes part in its making, as a passenger of the
same flight; who asks later gets what was kept. Making the answer does not end with the
client that asked first: a client that sends a key means to ask again when its connection
breaks, and shall then find the answer instead of paying for a second one.

An answer is kept before its flight is over, so between the two nobody can miss it. What a
process was still making when it was killed is not known to the next one: it is made again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

from sidecar.errors import IdempotencyMismatchError
from sidecar.idempotency.recorded import Place, Recorded
from sidecar.idempotency.store import AnswerStore
from sidecar.singleflight import Flight, Flights
from sidecar.tasks import Tasks

Piece: TypeAlias = Mapping[str, str] | bytes
"""Of a stream: first its head, then its bytes."""


@dataclass(frozen=True, slots=True)
class Made:
    """An answer. What is not whole, since it broke in the middle, is given and not kept."""

    answer: Recorded
    is_whole: bool = True


AnswerFlight: TypeAlias = Flight[Piece, Recorded]
Maker: TypeAlias = Callable[[Callable[[Piece], None]], Awaitable[Made]]
"""Makes an answer. It emits the pieces of a stream as they come."""


class Once:
    """The answers under way and those that are kept."""

    def __init__(self, store: AnswerStore, tasks: Tasks) -> None:
        self._store = store
        self._flights: Flights[Piece, Recorded] = Flights(tasks)

    @contextmanager
    def answering(
        self,
        place: Place,
        asked: bytes,
        make: Maker,
        request_id: str = "",
        held: AbstractContextManager[None] | None = None,
    ) -> Iterator[AnswerFlight]:
        """The flight that brings the answer. `IdempotencyMismatchError` for another body.

        `held` is entered for as long as the answer is looked for or made for this request.
        """

        async def work(flight: AnswerFlight) -> Recorded:
            with held or nullcontext():
                return await self._answer(flight, place, asked, make)

        leader = f"{asked.hex()} {request_id}"
        with self._flights.boarded(place.digest, work, leader=leader) as flight:
            if flight.leader.partition(" ")[0] != asked.hex():
                raise mismatch()
            if flight.passengers == 1:
                # The key itself travels too: the work goes on when every client has left.
                flight.passengers += 1
            yield flight

    async def _answer(
        self, flight: AnswerFlight, place: Place, asked: bytes, make: Maker
    ) -> Recorded:
        generation = self._store.generation
        kept = await self._store.get(place)
        if kept is not None:
            if kept.asked != asked:
                raise mismatch()
            return kept
        made = await make(flight.emit)
        if made.is_whole:
            await self._store.put(place, made.answer, generation)
        return made.answer


def joined_of(flight: AnswerFlight, request_id: str) -> str:
    """The id of the request that a flight began for; empty where it is this one."""
    first = flight.leader.partition(" ")[2]
    return "" if first == request_id else first


def mismatch() -> IdempotencyMismatchError:
    """The refusal of a key that was used for something else."""
    return IdempotencyMismatchError(
        "this Idempotency-Key was used with another body; send a new key with a new request",
        param="Idempotency-Key",
    )

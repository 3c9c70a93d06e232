"""The same key and body is answered once, however often and in whatever order it is asked.

Who asks while the answer is being made takes part in its making, as a passenger of the
same flight; who asks later gets what was kept. Making the answer does not end with the
client that asked first: a client that sends a key means to ask again when its connection
breaks, and shall then find the answer instead of paying for a second one.

An answer is kept before its flight is over, so between the two nobody can miss it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
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
    def answering(self, place: Place, asked: bytes, make: Maker) -> Iterator[AnswerFlight]:
        """The flight that brings the answer. `IdempotencyMismatchError` for another body."""
        with self._flights.boarded(
            place.digest,
            lambda flight: self._answer(flight, place, asked, make),
            leader=asked.hex(),
        ) as flight:
            if flight.leader != asked.hex():
                raise mismatch()
            if flight.passengers == 1:
                # The key itself travels too: the work goes on when every client has left.
                flight.passengers += 1
            yield flight

    async def _answer(
        self, flight: AnswerFlight, place: Place, asked: bytes, make: Maker
    ) -> Recorded:
        kept = await self._store.get(place)
        if kept is not None:
            if kept.asked != asked:
                raise mismatch()
            return kept
        made = await make(flight.emit)
        if made.is_whole:
            await self._store.put(place, made.answer)
        return made.answer


def mismatch() -> IdempotencyMismatchError:
    """The refusal of a key that was used for something else."""
    return IdempotencyMismatchError(
        "this Idempotency-Key was used with another body; send a new key with a new request",
        param="Idempotency-Key",
    )

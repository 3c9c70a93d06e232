"""One request at a door, from its coming to its row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sidecar.admission import CLIENT_LEFT, Taken, settle
from sidecar.events import Observers
from sidecar.trail import Trail


@dataclass(slots=True)
class Visit:
    """What is known of it. `taken` is what it took from the rate limits.

    It is over when nobody has it in hand any more: neither its door, which the client may
    leave, nor the work that makes its answer all the same. Then, once, its row is told and
    `ended` is called. `is_handed_over` says that the work knows best what came of it.
    """

    trail: Trail
    observers: Observers
    ended: Callable[[], None]
    taken: Taken | None = None
    is_handed_over: bool = False
    status: int = CLIENT_LEFT
    hands: int = 1

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """It is worked on inside, whether or not its client is still there."""
        self.hands += 1
        try:
            yield
        finally:
            self._let_go()

    def failed(self, code: str) -> None:
        """The client gets an error; the work may go on."""
        if self.hands > 1:
            self.trail.note("client", code)
        else:
            self.trail.error = code

    def leave(self, status: int) -> None:
        """The client has its reply, or is gone."""
        if status == CLIENT_LEFT and (self.hands > 1 or self.is_handed_over):
            self.trail.note("client", "left")
        if not self.is_handed_over:
            self.status = status
        self._let_go()

    def _let_go(self) -> None:
        """Settle and tell the row after the reply is sent: nobody waits for observers."""
        self.hands -= 1
        if not self.hands:
            self.ended()
            asyncio.get_running_loop().call_soon(self._close)

    def _close(self) -> None:
        settle(self.taken, self.trail.outcome, self.trail.usage, self.status)
        self.observers.tell(self.trail.close(self.status))

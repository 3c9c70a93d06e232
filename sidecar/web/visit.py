"""One request at a chat door, from its coming to its row."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sidecar.admission import CLIENT_LEFT, Taken, settle
from sidecar.events import Observers
from sidecar.trail import Trail


@dataclass(slots=True)
class Visit:
    """What is known of it. `taken` is what it took from the rate limits.

    `is_handed_over` tells that the work which makes the answer closes the trail: it may go
    on when the client has left, and knows better than the door what came of it.
    """

    trail: Trail
    taken: Taken | None = None
    is_handed_over: bool = False

    def failed(self, code: str) -> None:
        """The client gets an error."""
        if self.is_handed_over:
            self.trail.note("client", code)
        else:
            self.trail.error = code

    def leave(self, status: int, observers: Observers) -> None:
        """The client has its reply."""
        if not self.is_handed_over:
            self.close(status, observers)
        elif status == CLIENT_LEFT:
            self.trail.note("client", "left")

    def close(self, status: int, observers: Observers) -> None:
        """Settle and tell the row, after the reply is sent: nobody waits for observers."""
        asyncio.get_running_loop().call_soon(self._observe, status, observers)

    def _observe(self, status: int, observers: Observers) -> None:
        settle(self.taken, self.trail.outcome, self.trail.usage, status)
        observers.tell(self.trail.close(status))

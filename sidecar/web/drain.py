"""The end of a process that others still call: say so, go on answering, then refuse.

After SIGTERM the pod's other containers may still send calls, since the news that it
ends takes time to travel. So calls are answered until `REFUSE_BEFORE_END_S` before the
end, and only then refused.
"""

from __future__ import annotations

from sidecar.clock import Clock
from sidecar.errors import DrainingError

REFUSE_BEFORE_END_S = 5.0


class Drain:
    """Knows whether the process is about to end."""

    def __init__(self, clock: Clock, drain_s: float) -> None:
        self._clock = clock
        self._drain_s = drain_s
        self._began: float | None = None

    @property
    def active(self) -> bool:
        """Whether the end has been announced."""
        return self._began is not None

    def begin(self) -> None:
        """Announce the end; the first announcement counts."""
        if self._began is None:
            self._began = self._clock.tick()

    @property
    def refuses_in_s(self) -> float:
        """Seconds until new calls are refused, 0 when they are; infinite before `begin`."""
        if self._began is None:
            return float("inf")
        answered_s = max(0.0, self._drain_s - REFUSE_BEFORE_END_S)
        return max(0.0, self._began + answered_s - self._clock.tick())

    @property
    def ends_in_s(self) -> float:
        """Seconds until the process ends whatever is open."""
        if self._began is None:
            return float("inf")
        return max(0.0, self._began + self._drain_s - self._clock.tick())

    def check(self) -> None:
        """Refuse a new call near the end."""
        if self.refuses_in_s <= 0:
            raise DrainingError(
                "this process is about to end; call again", headers={"retry-after": "1"}
            )

"""When an entry is over: fresh until its time, then stale for a while, then gone.

A stale entry is found neither by equality nor by meaning; it is kept so that it can stand
in where no provider answers. One that is gone leaves every tier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from sidecar.cache.eviction import EvictionReason
from sidecar.cache.shelf import Shelf
from sidecar.cache.slots import Slots
from sidecar.clock import Clock

YIELD_AFTER = 500  # entries handled before others get the loop


class Expiry:
    """Over the directory and the shelf of one cache. `keep_stale_s` may be changed live."""

    def __init__(self, slots: Slots, shelf: Shelf, clock: Clock, keep_stale_s: float) -> None:
        self._slots = slots
        self._shelf = shelf
        self._clock = clock
        self.keep_stale_s = keep_stale_s

    def is_over(self, expires_at: float) -> bool:
        """Whether what expired then is not even kept as stale any more."""
        return expires_at + self.keep_stale_s <= self._clock.now()

    def put_away(self, slot: int) -> bool:
        """Put out of reach what is not fresh, and drop it where it is over; whether it was."""
        now = self._clock.now()
        if not self._slots.is_expired(slot, now):
            return False
        if self._slots.is_expired(slot, now - self.keep_stale_s):
            self._shelf.drop([slot], EvictionReason.EXPIRED)
        else:
            # What is searched by meaning must not be crowded out by what is never served so.
            self._shelf.hide([slot])
        return True

    async def sweep(self) -> int:
        """Drop all that is over; how many."""
        over = self._slots.expired(self._clock.now() - self.keep_stale_s)
        drop = partial(self._shelf.drop, reason=EvictionReason.EXPIRED)
        return await in_turns(self._slots, map(self._slots.handle, over), drop)


async def in_turns(
    slots: Slots, handles: Iterable[int], drop: Callable[[list[int]], object]
) -> int:
    """Drop what handles still stand for, letting others have the loop in between; how many."""
    count, handles = 0, list(handles)
    for start in range(0, len(handles), YIELD_AFTER):
        part = map(slots.from_handle, handles[start : start + YIELD_AFTER])
        found = [slot for slot in part if slot is not None]
        drop(found)
        count += len(found)
        await asyncio.sleep(0)
    return count

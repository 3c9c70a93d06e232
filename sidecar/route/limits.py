"""Rate limits: what one user, feature or tenant may ask for in a minute. Pure.

A window slides: what was admitted counts for exactly the `WINDOW_S` after it, so in no
minute is more admitted than the limit says, wherever that minute begins. (Two ends of a
fixed minute would let twice as much through; a bucket that refills would too.) Requests
that came within `MERGED_S` leave together with the last of them.

A limit counts each distinct value of the labels that its patterns name apart. Who has no
such label is one value too, so that leaving a tag out is no way around a limit. A user is
one of a tenant: the same name in another tenant is somebody else, whose allowance nobody
can use up from outside.

Tokens are taken by estimate before a request and corrected when its usage is known; an
estimate is too high rather than too low, so a limit may refuse early, and is exceeded by
no more than what estimates missed. A refused request takes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import islice
from typing import TypeAlias

WINDOW_S = 60.0
MERGED_S = 0.5
MAX_VALUES = 10_000
"""Windows kept at once. Beyond it the one that was used the longest ago is forgotten."""
IDLE_FORGOTTEN = 8
"""How many are looked at each time: more than the windows that one request can make idle."""

Place: TypeAlias = tuple[tuple[tuple[str, str], ...], tuple[str, ...]]
"""What a window counts: the patterns of a limit, the values that matched them, and beside
those that name a user its tenant."""


class Measure(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Patterns by label (user, feature, department, tenant, model), and what is allowed."""

    match: tuple[tuple[str, str], ...]
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def place(self, labels: Mapping[str, str]) -> Place | None:
        """Where a request counts; None where a pattern doesn't match."""
        values = tuple(labels.get(name, "") for name, _ in self.match)
        globs = (glob for _, glob in self.match)
        if not all(map(fnmatchcase, values, globs)):
            return None
        if any(name == "user" for name, _ in self.match):
            values += (labels.get("tenant", ""),)
        return self.match, values


@dataclass(frozen=True, slots=True)
class Exceeded:
    """Why a request is refused: of all limits the one that takes the longest to have room.

    `wait_s` is None where it never has room: the request alone is over the limit.
    """

    limit: RateLimit
    measure: Measure
    allowed: int
    values: tuple[str, ...]
    wait_s: float | None


@dataclass(slots=True)
class Slot:
    """What was admitted between two moments close to each other."""

    first: float
    last: float
    requests: int = 0
    tokens: int = 0


class Window:
    """What one value used within the last minute."""

    __slots__ = ("_slots", "requests", "tokens")

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()
        self.requests = 0
        self.tokens = 0

    def forget(self, now: float) -> bool:
        """Drop what is over; whether nothing is left."""
        while self._slots and now - self._slots[0].last >= WINDOW_S:
            slot = self._slots.popleft()
            self.requests -= slot.requests
            self.tokens -= slot.tokens
        return not self._slots

    def add(self, tokens: int, now: float) -> Slot:
        """Count one request."""
        if not self._slots or now - self._slots[-1].first >= MERGED_S:
            self._slots.append(Slot(now, now))
        slot = self._slots[-1]
        slot.last = now
        slot.requests += 1
        self.requests += 1
        self.correct(slot, tokens)
        return slot

    def correct(self, slot: Slot, tokens: int) -> None:
        """Count more tokens, or fewer, in a slot, whenever that was."""
        slot.tokens += tokens
        if self._slots and slot.first >= self._slots[0].first:  # else it is over
            self.tokens += tokens

    def wait_s(self, measure: Measure, excess: int, now: float) -> float | None:
        """Seconds until `excess` of what is counted is over; None where there is not so much:
        then what is to come is over the limit by itself.
        """
        if excess <= 0:
            return 0.0
        for slot in self._slots:
            excess -= slot.requests if measure is Measure.REQUESTS else slot.tokens
            if excess <= 0:
                return slot.last + WINDOW_S - now
        return None


class Taken:
    """What one request took from the windows that it counts in."""

    __slots__ = ("_places", "_tokens")

    def __init__(self, places: Sequence[tuple[Window, Slot]], tokens: int) -> None:
        self._places = places
        self._tokens = tokens

    def settle(self, tokens: int) -> None:
        """Put the real number in the place of the one that was taken."""
        for window, slot in self._places:
            window.correct(slot, tokens - self._tokens)
        self._tokens = tokens


class RateCounts:
    """The windows of all values. `now` is in monotonic seconds."""

    def __init__(self, max_values: int = MAX_VALUES) -> None:
        self._max_values = max_values
        self._windows: dict[Place, Window] = {}

    def __len__(self) -> int:
        return len(self._windows)

    def take(
        self, limits: Sequence[RateLimit], labels: Mapping[str, str], tokens: int, now: float
    ) -> Taken | Exceeded:
        """Count a request that may need `tokens`, or say which limit is in its way."""
        self._make_room(len(limits), now)
        windows: dict[Place, Window] = {}
        worst: Exceeded | None = None
        for limit in limits:
            if (place := limit.place(labels)) is not None:
                # Limits with the same patterns share a window, and count a request once.
                window = windows[place] = self._window(place, now)
                matched = place[1][: len(limit.match)]
                worst = _worse(worst, _exceeded(limit, matched, window, tokens, now))
        if worst is not None:
            return worst
        return Taken([(each, each.add(tokens, now)) for each in windows.values()], tokens)

    def _window(self, place: Place, now: float) -> Window:
        """The window, up to date, and the last to be forgotten."""
        window = self._windows.pop(place, None) or Window()
        window.forget(now)
        self._windows[place] = window
        return window

    def _make_room(self, count: int, now: float) -> None:
        """Forget before windows are made, so that none of this request's is forgotten by it."""
        for place in list(islice(self._windows, IDLE_FORGOTTEN)):
            if not self._windows[place].forget(now):
                break
            del self._windows[place]
        while self._windows and len(self._windows) + count > self._max_values:
            del self._windows[next(iter(self._windows))]


def _exceeded(
    limit: RateLimit, values: tuple[str, ...], window: Window, tokens: int, now: float
) -> Exceeded | None:
    worst: Exceeded | None = None
    needs = (
        (Measure.REQUESTS, limit.requests_per_minute, window.requests, 1),
        (Measure.TOKENS, limit.tokens_per_minute, window.tokens, tokens),
    )
    for measure, allowed, used, more in needs:
        if allowed is None or used + more <= allowed:
            continue
        wait_s = window.wait_s(measure, used + more - allowed, now)
        worst = _worse(worst, Exceeded(limit, measure, allowed, values, wait_s))
    return worst


def _worse(one: Exceeded | None, other: Exceeded | None) -> Exceeded | None:
    """The one that has to be waited for longer."""
    if one is None or other is None:
        return one or other
    if one.wait_s is None or other.wait_s is None:
        return one if one.wait_s is None else other
    return one if one.wait_s >= other.wait_s else other

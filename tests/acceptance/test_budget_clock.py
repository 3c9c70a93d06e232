"""Windows of money and clocks that jump: charged to reserve's window, no limit twice.

The library with a clock of its own is exact; libfaketime, where it is installed, sets the
clock of a real process while it serves.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sidecar.budget.windows import WindowKind
from sidecar.money_errors import BudgetExceededError
from tests.budget.making import SplitClock, budget, money, opened, settled, spending

from .money import PRICES, billed, code, fresh, nano, state
from .money import budget as configured
from .running import Provider, Sidecar, config_for, start_sidecar, until

HOUR = 3600
KINDS = pytest.mark.parametrize("kind", WindowKind)
ZONES = pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia"])
LATE = 1_700_086_500.0
"""2023-11-15 22:15 UTC."""


def ends(clock: SplitClock, kind: WindowKind, zone: str) -> float:
    """The first moment that the clock of that zone shows as the next window, by search."""
    lengths = {"minute": 60, "hour": 3600, "day": 90_000, "week": 8 * 86_400, "month": 32 * 86_400}
    place, now = ZoneInfo(zone), int(clock.wall)
    low, high = now, now + lengths[kind]
    shown = name(now, kind, place)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if name(middle, kind, place) == shown else (low, middle)
    return high


def name(moment: int, kind: WindowKind, place: ZoneInfo) -> tuple[int, ...]:
    """How a calendar calls the window that this moment is in."""
    at = datetime.fromtimestamp(moment, place)
    if kind is WindowKind.WEEK:
        return tuple(at.isocalendar()[:2])
    fields = {"month": 2, "day": 3, "hour": 4, "minute": 5}[kind]
    return tuple(at.timetuple()[:fields])


@KINDS
@ZONES
async def test_a_window_ends_when_its_zone_says_so(
    tmp_path: Path, kind: WindowKind, zone: str
) -> None:
    """Not a second before; a call that spans the end is charged where its money was held."""
    clock = SplitClock(LATE)
    limited = budget(limit=100, window=kind, zone=ZoneInfo(zone))
    async with opened(tmp_path / "money.sqlite", [limited], clock) as budgets:
        long = await budgets.reserve(spending(1, 60))
        settled(await budgets.reserve(spending(2, 40)), 40)
        clock.advance(ends(clock, kind, zone) - 1 - clock.wall)
        with pytest.raises(BudgetExceededError):
            await budgets.reserve(spending(3, 61))
        clock.advance(1)
        settled(await budgets.reserve(spending(4, 100)), 7)
        settled(long, 50)
        assert money(budgets) == (7, 0)
        # The old one as it stands in the journal; a clock that goes back finds it.
        clock.wall -= 1
        assert money(budgets) == (90, 0)


@KINDS
async def test_an_hour_ahead_and_back_gives_no_limit_twice(
    tmp_path: Path, kind: WindowKind
) -> None:
    """The wall clock is set, no time passes: every window stays where it was."""
    clock = SplitClock(LATE)
    async with opened(
        tmp_path / "money.sqlite", [budget(limit=100, window=kind)], clock
    ) as budgets:
        settled(await budgets.reserve(spending(1, 100)), 100)
        clock.wall += HOUR
        with pytest.raises(BudgetExceededError):
            await budgets.reserve(spending(2, 1))
        clock.wall -= HOUR
        with pytest.raises(BudgetExceededError):
            await budgets.reserve(spending(3, 1))


async def test_a_clock_set_back_can_spend_the_hour_before_but_once(tmp_path: Path) -> None:
    """And there is but one account of each hour, whichever way it was come to."""
    clock = SplitClock(LATE)
    limited = budget(limit=100, window=WindowKind.HOUR)
    async with opened(tmp_path / "money.sqlite", [limited], clock) as budgets:
        for number in range(2):
            settled(await budgets.reserve(spending(number, 100)), 100)
            clock.wall -= HOUR
        for hours in (1, 1):
            clock.advance(hours * HOUR)
            with pytest.raises(BudgetExceededError):
                await budgets.reserve(spending(9, 1))


# A real process, its wall clock set while it serves.

INSTALLED = (*Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), "")
LIBRARY = os.environ.get("LIBFAKETIME") or str(INSTALLED[0])
FAKED = pytest.mark.skipif(not LIBRARY, reason="libfaketime is not here; LIBFAKETIME may name it")
LIMIT = "0.002"


class Wall:
    """The wall clock of a process, in a file that it reads at every look at the time."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._ahead = 0.0
        self.move(0)

    def move(self, seconds: float) -> None:
        """Set it ahead, or back."""
        self._ahead += seconds
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{self._ahead:+.3f}s\n")
        fresh.replace(self.file)

    def set_to(self, minute: int, second: float) -> None:
        """Set it to that minute of the hour that it shows."""
        shown = (time.time() + self._ahead) % HOUR
        self.move(minute * 60 + second - shown)

    @property
    def environ(self) -> dict[str, str]:
        """What makes a process go by it; its monotonic clock is left alone."""
        return {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def wall(tmp_path: Path) -> Wall:
    """It shows half past something."""
    wall = Wall(tmp_path / "wall")
    wall.set_to(30, 0)
    return wall


@pytest.fixture
def start(provider: Provider, tmp_path: Path, wall: Wall) -> Iterator[Callable[[], Sidecar]]:
    """Start a sidecar with an hourly budget, on that clock and on the same state each time."""
    running: list[Sidecar] = []

    def begin() -> Sidecar:
        for each in running:
            each.process.kill()
        hourly = configured(LIMIT, window="hour")
        config = config_for(provider, tmp_path, {"budgets": [hourly], "prices": PRICES})
        running.append(start_sidecar(tmp_path, config, **wall.environ))
        return running[-1]

    yield begin
    for each in running:
        each.process.kill()


def spend_all(sidecar: Sidecar) -> None:
    """Until it is refused, which comes after some calls and not before."""
    first = sidecar.post(fresh("First?"))
    assert first.status == 200
    until(lambda: sidecar.post(fresh("And?")).status == 402, "a refusal")


def spent_usd(sidecar: Sidecar) -> int:
    """Of the hour that runs."""
    return state(sidecar)["spent"]


@FAKED
def test_an_hour_ahead_resets_nothing(start, wall: Wall, provider: Provider) -> None:
    """Refused before, ahead and back; and how far it is ahead is told."""
    sidecar = start()
    spend_all(sidecar)
    called = provider.calls
    window = state(sidecar)["starts_at"]
    wall.move(HOUR)
    assert code(sidecar.post(fresh("Now?"))) == (402, "budget_exceeded")
    told = sidecar.admin("GET", "/api/budgets").json
    assert HOUR - 60 <= told["clock_ahead_s"] <= HOUR + 60
    wall.move(-HOUR)
    assert code(sidecar.post(fresh("And now?"))) == (402, "budget_exceeded")
    assert (state(sidecar)["starts_at"], provider.calls) == (window, called)
    assert sum(map(billed, provider.ledger["requests"])) == spent_usd(sidecar) <= nano(LIMIT)


@FAKED
def test_an_hour_back_finds_what_was_spent_when_it_returns(
    start, wall: Wall, provider: Provider
) -> None:
    """The hour before has money of its own, once; the hour after is as it was."""
    sidecar = start()
    spend_all(sidecar)
    here = state(sidecar)
    wall.move(-HOUR)
    spend_all(sidecar)
    assert state(sidecar)["resets_at"] == here["starts_at"]
    wall.move(HOUR)
    sidecar = start()  # a start takes the wall clock's word
    assert code(sidecar.post(fresh("Once more?"))) == (402, "budget_exceeded")
    assert spent_usd(sidecar) == here["spent"]


@FAKED
def test_a_real_hour_ends_and_a_call_that_spans_it_belongs_to_the_old_one(
    start, wall: Wall, provider: Provider
) -> None:
    """Set back to shortly before the hour, which is followed at once; then real time passes."""
    sidecar = start()
    wall.set_to(-1, 57)  # three seconds before it
    provider.script({"times": 1, "delay_ms": 4000})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(sidecar.post, fresh("Slow?"))
        until(lambda: provider.calls == 1, "it was sent")
        old = state(sidecar)
        until(lambda: state(sidecar)["starts_at"] == old["resets_at"], "a new hour")
        assert state(sidecar)["spent"] == state(sidecar)["held"] == 0
        assert slow.result().status == 200
    assert state(sidecar)["spent"] == 0
    assert old["held"] > 0
    month = datetime.fromtimestamp(time.time() + wall._ahead, UTC).strftime("%Y-%m")
    closing = sidecar.admin("GET", f"/api/usage/closing?month={month}").json
    cost = sum(map(billed, provider.ledger["requests"]))
    began = datetime.fromisoformat(old["starts_at"]).timestamp()
    charged = {row["start"]: nano(row["spent_usd"]) for row in closing["budgets"]}
    assert charged == {began: cost}
    assert cost > 0
    spend_all(sidecar)

"""Any history of holds, crashes and clocks against a few dictionaries that do the sums.

`SIDECAR_MONEY_EXAMPLES` sets how many histories are tried.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sidecar.budget.hold import Hold
from sidecar.budget.local import LocalBudgets
from sidecar.budget.terms import Charge, ChargeKind, Spending
from sidecar.budget.windows import WindowKind
from tests.budget.making import ANN, BOB, SplitClock, actual, budget, copied, spending
from tests.budget.model import HOUR, Known, Sums

MEMORY = Path("/dev/shm")  # noqa: S108  (what a sync to disk promises is not in question here)
PAYERS = {"ann": ANN, "bob": BOB}
AMOUNTS = st.integers(0, 60)
PLACES = st.integers(0, 20)


class Money(RuleBasedStateMachine):
    """Hourly budgets for all and for each user, beside a list of every attempt there was."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.path = self.folder / "0" / "money.sqlite"
        self.clock = SplitClock(1_700_000_000.0)
        self.sums = Sums({"all": 150, "own": 100})
        self.known = self.sums.known
        self.holds: dict[str, Hold] = {}
        self.lives = 0

    @initialize()
    def start(self) -> None:
        """Open, and take the wall clock's word."""
        self.lives += 1
        self.now, self.told_at = self.clock.wall, self.clock.passed
        self.budgets = LocalBudgets(self.path, self.clock)
        self.configure()
        self.budgets.open()
        assert not self.budgets.failure

    def configure(self) -> None:
        """Set the limits that the model has."""
        own = budget("own", self.sums.limits["own"], window=WindowKind.HOUR, each=("user",))
        self.budgets.configure(
            [budget("all", self.sums.limits["all"], window=WindowKind.HOUR), own]
        )

    def teardown(self) -> None:
        """Leave nothing behind."""
        if self.lives:
            self.runner.run(self.budgets.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def window(self) -> int:
        """When the hour began by a clock that gains one percent at most."""
        passed = self.clock.passed - self.told_at
        self.now = min(self.clock.wall, self.now + passed * 1.01)
        self.told_at = self.clock.passed
        return int(self.now // HOUR) * HOUR

    # What happens.

    def attempt(self, user: str, amount: int) -> tuple[Spending, Known]:
        """A new one."""
        number = sum(1 for _ in self.known) + 1000 * self.lives
        made = spending(number, amount, PAYERS[user])
        return made, Known(user, self.window(), amount)

    @rule(user=st.sampled_from(sorted(PAYERS)), amount=AMOUNTS)
    def reserve(self, user: str, amount: int) -> None:
        """Held or refused exactly as the sums say."""
        made, known = self.attempt(user, amount)
        expected = self.sums.refusal(known)
        (outcome,) = self.runner.run(self.gathered([made]))
        assert isinstance(outcome, expected or Hold)
        if isinstance(outcome, Hold):
            known.on_disk = True
            self.holds[made.id], self.known[made.id] = outcome, known

    @rule(amounts=st.lists(st.tuples(st.sampled_from(sorted(PAYERS)), AMOUNTS), max_size=8))
    def reserve_at_once(self, amounts: list[tuple[str, int]]) -> None:
        """A crowd: in the order of their coming."""
        expected, wanted = [], []
        for user, amount in amounts:
            made, known = self.attempt(user, amount)
            expected.append(self.sums.refusal(known))
            wanted.append(made)
            # Those refused are kept too, at no cost, so that numbers stay apart.
            known.cost = None if expected[-1] is None else 0
            self.known[made.id] = known
        outcomes = self.runner.run(self.gathered(wanted))
        for made, outcome, error in zip(wanted, outcomes, expected, strict=True):
            assert isinstance(outcome, error or Hold)
            if isinstance(outcome, Hold):
                self.holds[made.id] = outcome
                self.known[made.id].on_disk = True

    async def gathered(self, wanted: list[Spending]) -> list[object]:
        """All at once."""
        return await asyncio.gather(*map(self.budgets.reserve, wanted), return_exceptions=True)

    @rule(user=st.sampled_from(sorted(PAYERS)), amount=AMOUNTS, turns=st.integers(1, 3))
    def cancel_while_waiting(self, user: str, amount: int, turns: int) -> None:
        """Nothing is held by who leaves; who has come through is settled for nothing."""
        made, known = self.attempt(user, amount)
        known.cost = 0
        self.known[made.id] = known
        self.runner.run(self.cancelled(made, turns))

    async def cancelled(self, made: Spending, turns: int) -> None:
        """Begin, and leave after so many turns of the loop."""
        waiting = asyncio.ensure_future(self.budgets.reserve(made))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
        if isinstance(outcome, Hold):
            outcome.settle(Charge(0, ChargeKind.FREE))

    def pick(self, place: int) -> str:
        """One in flight; empty where none is.

        No rule has a precondition: what a kill leaves behind depends on how far the disk was,
        and which rules may follow must not.
        """
        return list(self.holds)[place % len(self.holds)] if self.holds else ""

    @rule(place=PLACES, part=st.integers(0, 130), twice=st.booleans())
    def settle(self, place: int, part: int, *, twice: bool) -> None:
        """Some part of the amount, or more than that; a second time changes nothing."""
        if not (name := self.pick(place)):
            return
        hold, known = self.holds.pop(name), self.known[name]
        known.cost, known.on_disk = known.amount * part // 100, False
        assert hold.settle(actual(known.cost))
        if twice:
            assert not hold.settle(actual(77))

    @rule(place=PLACES, collected=st.booleans())
    def leave(self, place: int, *, collected: bool) -> None:
        """Closed, or dropped: charged its whole amount."""
        if not (name := self.pick(place)):
            return
        known = self.known[name]
        known.cost, known.in_doubt, known.on_disk = known.amount, True, False
        if collected:
            del self.holds[name]
            self.runner.run(asyncio.sleep(0))
        else:
            self.holds.pop(name).close()

    @rule(place=PLACES, cost=st.integers(0, 90))
    def reconcile(self, place: int, cost: int) -> None:
        """What was in doubt costs what the invoice says; the list shrinks by one."""
        doubtful = [name for name, each in self.known.items() if each.in_doubt]
        if doubtful:
            name = doubtful[place % len(doubtful)]
            difference = self.runner.run(self.budgets.reconcile(name, cost))
            assert difference.nano == cost - self.known[name].cost
            self.known[name].cost, self.known[name].in_doubt = cost, False
            self.sums.all_is_on_disk()

    @rule(everyone=st.integers(0, 300), own=st.integers(0, 200))
    def change_limits(self, everyone: int, own: int) -> None:
        """From now on, for what is spent already too."""
        self.sums.limits = {"all": everyone, "own": own}
        self.configure()

    @rule(seconds=st.sampled_from([1.0, 600.0, 3600.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)
        self.window()

    @rule(seconds=st.sampled_from([-7200.0, -3600.0, 3600.0, 86_400.0]))
    def set_wall_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.clock.wall += seconds
        self.window()

    @rule()
    def flush(self) -> None:
        """All is on disk."""
        self.runner.run(self.budgets.flush())
        self.sums.all_is_on_disk()

    @rule()
    def restart(self) -> None:
        """An orderly end: everything is written, and what was in flight is charged in full."""
        self.runner.run(self.budgets.close())
        self.sums.all_is_on_disk()
        self.start_again(self.path)

    @rule()
    def kill(self) -> None:
        """The end without a word: the files as they are at this moment."""
        path = copied(self.path, self.folder / str(self.lives))
        self.runner.run(self.budgets.close())
        self.start_again(path)

    def start_again(self, path: Path) -> None:
        """Open, and check every single charge against what is known of it."""
        self.path = path
        self.holds.clear()
        self.start()
        rows = self.runner.run(self.budgets.charges(0, 2e9))
        total: Counter[str] = Counter()
        for row in rows:
            total[row.id] += row.nano
        in_doubt = {row.id for row in self.runner.run(self.budgets.unsettled())}
        assert {row.id for row in rows} <= self.known.keys()
        for name in self.known:
            self.sums.check_recovered(name, total[name], is_in_doubt=name in in_doubt)

    # What holds at any time.

    @invariant()
    def adds_up(self) -> None:
        """Settled, held and free are the limit, in every account of this hour."""
        if not self.lives:
            return
        start = self.window()
        found = {(each.budget, each.each, each.start): each for each in self.budgets.status()}
        for place in self.sums.places(start):
            self.sums.check(place, found.get(place))


TestMoney = Money.TestCase
TestMoney.settings = settings(
    max_examples=int(os.environ.get("SIDECAR_MONEY_EXAMPLES", "200")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

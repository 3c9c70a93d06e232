"""What budgets must come to, by adding up every attempt there was."""

from __future__ import annotations

from dataclasses import dataclass, field

from sidecar.budget.status import AccountStatus
from sidecar.money_errors import BudgetBusyError, BudgetExceededError

HOUR = 3600


@dataclass
class Known:
    """What the model knows of one attempt: what was held, and what it has cost if it ended."""

    user: str
    start: int
    amount: int
    cost: int | None = None
    in_doubt: bool = False
    on_disk: bool = False

    @property
    def accounts(self) -> list[tuple[str, str, int]]:
        """Everyone's, and the user's own."""
        return [("all", "", self.start), ("own", f"user={self.user}", self.start)]


@dataclass
class Sums:
    """Limits by budget, and every attempt by its id. Each question is answered from scratch."""

    limits: dict[str, int]
    known: dict[str, Known] = field(default_factory=dict)

    def committed(self, place: tuple[str, str, int]) -> int:
        """What the attempts on this account have cost."""
        return sum(each.cost or 0 for each in self.known.values() if place in each.accounts)

    def held(self, place: tuple[str, str, int]) -> int:
        """What the attempts in flight may cost."""
        flying = (each for each in self.known.values() if each.cost is None)
        return sum(each.amount for each in flying if place in each.accounts)

    def refusal(self, known: Known) -> type[Exception] | None:
        """How an attempt is refused, if it is."""
        in_the_way = [
            place
            for place in known.accounts
            if self.committed(place) + self.held(place) + known.amount > self.limits[place[0]]
        ]
        if not in_the_way:
            return None
        is_spent = any(
            self.committed(place) + known.amount > self.limits[place[0]] for place in in_the_way
        )
        return BudgetExceededError if is_spent else BudgetBusyError

    def places(self, start: int) -> set[tuple[str, str, int]]:
        """The accounts of the hour that began then."""
        everywhere = (place for each in self.known.values() for place in each.accounts)
        return {place for place in everywhere if place[2] == start}

    def check(self, place: tuple[str, str, int], account: AccountStatus | None) -> None:
        """As the sums say; only an account that nothing moved on may be unknown."""
        doubts = [each for each in self.known.values() if each.in_doubt and place in each.accounts]
        committed, held = self.committed(place), self.held(place)
        if account is None:
            assert (committed, held) == (0, 0)
            return
        assert (account.committed, account.held) == (committed, held)
        assert committed + held + account.remaining == self.limits[place[0]] == account.limit
        assert account.doubts == len(doubts)
        assert account.unsettled == sum(each.amount for each in doubts)

    def check_recovered(self, name: str, nano: int, *, is_in_doubt: bool) -> None:
        """In flight: the amount. Ended: the cost, or the amount if that was not yet written."""
        each = self.known[name]
        if each.cost is None:
            assert (nano, is_in_doubt) == (each.amount, True)
        elif each.on_disk:
            assert (nano, is_in_doubt) == (each.cost, each.in_doubt)
        else:
            assert nano == (each.amount if is_in_doubt else each.cost)
        each.cost, each.in_doubt, each.on_disk = nano, is_in_doubt, True

    def all_is_on_disk(self) -> None:
        """Whatever happens now, this is kept."""
        for each in self.known.values():
            each.on_disk = True

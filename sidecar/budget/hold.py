"""Money that is held for one attempt, until what it cost is known."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from sidecar.budget.rows import Claim
from sidecar.budget.terms import Account, Charge, ChargeKind


class Keeper(Protocol):
    """Who keeps the money: the local ledger, or the one that pods share."""

    def settle(self, claim: Claim, charge: Charge) -> bool:
        """Charge it, once; from the loop."""
        ...

    def abandon(self, claim: Claim) -> None:
        """Charge the whole amount, from whatever thread."""
        ...


class Hold:
    """Settle it once. Left or dropped without, it is charged its whole amount.

    As a context manager: leaving settles it so, if nothing else has.
    """

    __slots__ = ("_claim", "_is_settled", "_keeper")

    def __init__(self, claim: Claim, keeper: Keeper) -> None:
        self._claim = claim
        self._keeper = keeper
        self._is_settled = False

    @property
    def amount(self) -> int:
        """The most that the attempt can cost, in nano-dollars."""
        return self._claim.spending.amount

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts that it is held in."""
        return self._claim.accounts

    def settle(self, charge: Charge) -> bool:
        """Charge what it has cost. False where it was settled before: then nothing is done."""
        if self._is_settled:
            return False
        self._is_settled = True
        return self._keeper.settle(self._claim, charge)

    def close(self) -> None:
        """Charge the whole amount if nothing was charged yet: what it cost, nobody knows."""
        self.settle(Charge(self.amount, ChargeKind.BOUND))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Collected in any thread, and in the midst of anything: so later, on the loop.
        if not self._is_settled:
            self._keeper.abandon(self._claim)

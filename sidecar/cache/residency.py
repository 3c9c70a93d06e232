"""Which scopes have their vectors in memory, whose turn it is to leave it, and what is missing.

A scope leaves memory whole, the one used least recently first, and only while all its
vectors are on disk too: what keeps it is named, a handle that isn't committed yet or a
hold. So nothing ever leaves a cache without a disk. The scope used last stays in any
case: whoever is searching it, or has just written to it, would bring it back at once.

What has left makes a scope *partial*, until all of it was brought back: what is put into
it meanwhile doesn't make it look complete. Pure bookkeeping.
"""

from __future__ import annotations

from collections import OrderedDict

REFILLED = -1  # it is being read
LOST = -2  # its vectors are nowhere else, and never will be


class Residency:
    """Scopes in the order of their last use. One thread at a time.

    Invariant: what is kept is in memory, so that both can be counted against each other.
    """

    def __init__(self) -> None:
        self._here: OrderedDict[str, None] = OrderedDict()
        self._last_used = ""
        self._kept_by: dict[str, set[int]] = {}
        self._partial: set[str] = set()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._here)

    @property
    def partial(self) -> int:
        """Scopes of which something is on disk alone."""
        return len(self._partial)

    def use(self, scope: str) -> None:
        """It is in memory, and was written or searched just now."""
        self._here[scope] = None
        self._here.move_to_end(scope)
        self._last_used = scope

    def arrive(self, scope: str) -> None:
        """It came into memory unasked."""
        self._here.setdefault(scope)

    def keep(self, scope: str, reason: int) -> None:
        """What is in memory may not leave it: for an unsaved handle, REFILLED or LOST."""
        self._kept_by.setdefault(scope, set()).add(reason)

    def let_go(self, scope: str, reason: int) -> None:
        """This reason is no more."""
        reasons = self._kept_by.get(scope)
        if reasons is not None:
            reasons.discard(reason)
            if not reasons:
                del self._kept_by[scope]

    def keep_all(self) -> None:
        """None of those in memory may ever leave it."""
        for scope in self._here:
            self.keep(scope, LOST)

    def is_partial(self, scope: str) -> bool:
        """Whether something of it is on disk alone."""
        return scope in self._partial

    def mark_partial(self, scope: str) -> None:
        """Something of it is on disk alone."""
        self._partial.add(scope)

    def mark_whole(self, scope: str) -> None:
        """All of it is in memory."""
        self._partial.discard(scope)

    def forget(self, scope: str) -> None:
        """It has no vectors any more, neither here nor there."""
        self._partial.discard(scope)
        if REFILLED in self._kept_by.get(scope, ()):
            self._kept_by[scope] = {REFILLED}  # whoever reads it lets go of it
        else:
            self._kept_by.pop(scope, None)
            self._here.pop(scope, None)

    def evict(self) -> str | None:
        """The scope that leaves now, partial from now on; None where none may."""
        scope = self._idlest()
        if scope is not None:
            del self._here[scope]
            self._partial.add(scope)
            self.evicted += 1
        return scope

    def _idlest(self) -> str | None:
        free = len(self._here) - len(self._kept_by)
        if self._last_used in self._here and self._last_used not in self._kept_by:
            free -= 1
        while free > 0:
            scope = next(iter(self._here))
            if scope not in self._kept_by and scope != self._last_used:
                return scope
            # Out of the way of those that come next; none comes twice before a free one.
            self._here.move_to_end(scope)
        return None

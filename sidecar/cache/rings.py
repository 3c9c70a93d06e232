"""Which slots belong to which scope: a ring of slots for each.

A scope may hold one slot or a hundred thousand, and there may be as many scopes, so nothing
is kept for a scope but its first slot, and for a slot its two neighbours (8 bytes and a
reference). `enter`, `leave` and a step along a ring are O(1). Pure bookkeeping.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator


class Rings:
    """Scopes by slot and slots by scope. One thread at a time."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        self._entered = 0
        # By slot.
        self._scopes: list[str | None] = []
        self._next = array("I")
        self._before = array("I")

    def __len__(self) -> int:
        return len(self._first)

    def __contains__(self, scope: str) -> bool:
        return scope in self._first

    @property
    def slots(self) -> int:
        """Slots that are in a ring."""
        return self._entered

    def scope_of(self, slot: int) -> str | None:
        """The scope in which a slot is."""
        return self._scopes[slot] if slot < len(self._scopes) else None

    def enter(self, slot: int, scope: str) -> None:
        """Put a slot at the end of a scope's ring; nothing happens where it is there already."""
        self._make_room(slot)
        if self._scopes[slot] is not None:
            if self._scopes[slot] == scope:
                return
            self.leave(slot)
        self._entered += 1
        self._scopes[slot] = scope
        first = self._first.setdefault(scope, slot)
        last = slot if first == slot else self._before[first]
        self._link(last, slot)
        self._link(slot, first)

    def leave(self, slot: int) -> str | None:
        """Take a slot out of its ring; gives the scope it was in."""
        scope = self.scope_of(slot)
        if scope is None:
            return None
        self._entered -= 1
        self._scopes[slot] = None
        after = self._next[slot]
        if after == slot:
            del self._first[scope]
            return scope
        self._link(self._before[slot], after)
        if self._first[scope] == slot:
            self._first[scope] = after
        return scope

    def walk(self, scope: str, start: int | None, count: int) -> Iterator[int]:
        """Up to `count` slots of a ring, from `start` to its end; from its beginning where
        that is None, or has left meanwhile.
        """
        first = self._first.get(scope)
        if first is None:
            return
        slot = first if start is None or self.scope_of(start) != scope else start
        for _ in range(count):
            yield slot
            slot = self._next[slot]
            if slot == first:
                return

    def _link(self, slot: int, after: int) -> None:
        self._next[slot] = after
        self._before[after] = slot

    def _make_room(self, slot: int) -> None:
        if slot >= len(self._scopes):
            missing = max(slot + 1 - len(self._scopes), len(self._scopes) // 8, 64)
            self._scopes.extend([None] * missing)
            self._next.extend([0] * missing)
            self._before.extend([0] * missing)

"""Which entries were used least recently: bookkeeping for the cap on entries.

An ordered dict of all of them, the oldest first: about 200 bytes an entry, so it is kept
only where such a cap is set. Every call is O(1).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from index.protocol import Id


class Recency:
    """Entries in the order of their last use. Not locked."""

    def __init__(self) -> None:
        self._order: OrderedDict[tuple[str, Id], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._order)

    def use(self, partition: str, ids: Iterable[Id]) -> None:
        """These were added, or found, in this order."""
        for id_ in ids:
            self._order[partition, id_] = None
            self._order.move_to_end((partition, id_))

    def touch(self, partition: str, ids: Iterable[Id]) -> None:
        """These were found, those that are still there."""
        for id_ in ids:
            if (partition, id_) in self._order:
                self._order.move_to_end((partition, id_))

    def forget(self, partition: str, ids: Iterable[Id]) -> None:
        """These are gone."""
        for id_ in ids:
            self._order.pop((partition, id_), None)

    def oldest(self) -> tuple[str, Id]:
        """The entry to lose next; StopIteration when there is none."""
        return next(iter(self._order))

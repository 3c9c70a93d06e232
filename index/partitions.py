"""One exact index per opaque name, behind one lock.

It knows nothing about what a name means and never looks into two partitions at
once, so no entry can be found from, or crowd out, another partition. A
partition exists exactly while it holds something.

The lock guards which partitions there are, what they hold, and who reads them.
It is held while a search takes its view and gives it back, and for the whole of
a change; not while a search computes. So a scan of ten milliseconds in one
thread delays no change and no other search. There is one lock, not one for
each partition, because there may be a hundred thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from index.exact import ExactIndex
from index.protocol import Id, Match, Matrix, Stats


class Partitions:
    """Exact indexes by name. Arguments are taken as checked."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._lock = Lock()
        self._by_name: dict[str, ExactIndex] = {}
        # Kept as running sums: counting through every partition would hold
        # the lock for milliseconds whenever someone asks.
        self._entries = 0
        self._bytes = 0

    def put(self, name: str, ids: Sequence[Id], matrix: Matrix) -> None:
        """Store rows under distinct ids, replacing."""
        with self._changing(name) as index:
            index.put(ids, matrix)

    def remove(self, name: str, id_: Id) -> bool:
        """Forget one entry; False when it was not there."""
        with self._changing(name) as index:
            return index.remove(id_)

    def drop(self, name: str) -> int:
        """Forget a partition; how many entries it held."""
        with self._lock:
            index = self._by_name.pop(name, None)
            if index is None:
                return 0
            self._entries -= len(index)
            self._bytes -= index.bytes
            return len(index)

    def search(self, name: str, queries: Matrix, k: int, floor: float) -> list[list[Match]]:
        """The nearest of each query, all against the partition of one moment."""
        with self._lock:
            index = self._by_name.get(name)
            if index is None:
                return [[] for _ in queries]
            view = index.open_view()
        try:
            return [view.nearest(query, k, floor) for query in queries]
        finally:
            with self._lock:
                index.close_view(view)

    def compact(self) -> None:
        """Give back spare memory, one partition at a time so that searches come in between."""
        with self._lock:
            names = list(self._by_name)
        for name in names:
            with self._changing(name) as index:
                index.compact()

    def size(self, name: str) -> int:
        """Entries in one partition."""
        with self._lock:
            return len(self._by_name.get(name, ()))

    def has(self, name: str, id_: Id) -> bool:
        """Whether one entry is there."""
        with self._lock:
            return id_ in self._by_name.get(name, ())

    def stats(self) -> Stats:
        """The sums over all partitions. O(1)."""
        with self._lock:
            return Stats(self._entries, len(self._by_name), self._bytes)

    @contextmanager
    def _changing(self, name: str) -> Iterator[ExactIndex]:
        """A partition under the lock, made if missing, gone afterwards if empty."""
        with self._lock:
            index = self._by_name.get(name) or ExactIndex(self._dimension)
            entries, size = len(index), index.bytes
            yield index
            if not len(index):
                self._by_name.pop(name, None)
            elif not entries:
                self._by_name[name] = index
            self._entries += len(index) - entries
            self._bytes += (index.bytes if len(index) else 0) - (size if entries else 0)

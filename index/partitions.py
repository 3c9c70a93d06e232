"""Partitions by name behind one lock, the caps on all of them, and who compacts.

It knows nothing about what a name means and never looks into two partitions at
once, so no entry can be found from, or crowd out, another partition. A
partition exists exactly while it holds something.

The lock guards which partitions there are, what they hold, and who reads them.
It is held while a search takes its view and gives it back, and for the whole of
a change; not while a search computes, nor while rows are sealed. So a scan of ten
milliseconds delays no change and no other search, and compacting a million rows
delays either by no more than the few milliseconds in which what was sealed is
entered. There is one lock, not one for each partition, because there may be a
hundred thousand of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from threading import Lock

from index.compaction import Compactor
from index.memory import trim
from index.protocol import Evicted, Id, Match, Matrix, Stats
from index.recency import Recency
from index.sealed import Sealed
from index.segments import Segments

# So much, and this fraction of all there is, compaction may leave with the allocator, which
# will be asked for as much again. Giving it back holds up who asks for memory meanwhile.
SPARE_BYTES, SPARE_SHARE = 16 << 20, 32


class Partitions:
    """Segments by name, the least recently used first. Arguments are taken as checked."""

    def __init__(
        self,
        dimension: int,
        *,
        exact_below: int,
        max_entries: int | None,
        max_bytes: int | None,
        on_evict: Callable[[Evicted], None] | None,
    ) -> None:
        self._dimension = dimension
        self._exact_below = exact_below
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._on_evict = on_evict
        self._lock = Lock()
        self._by_name: OrderedDict[str, Segments] = OrderedDict()
        self._sealed: dict[str, Sealed] = {}  # the sealed segments of large partitions
        self._recency = Recency() if max_entries is not None else None
        self._compactor = Compactor(self._step, self._tidy)
        # Kept as running sums: counting through every partition would hold
        # the lock for milliseconds whenever someone asks.
        self._entries = 0
        self._bytes = 0
        self._freed = 0  # bytes, about, since memory was given back

    def put(self, name: str, ids: Sequence[Id], matrix: Matrix) -> None:
        """Store rows under distinct ids, replacing."""
        with self._changing(name) as segments:
            segments.put(ids, matrix)
            if self._recency is not None:
                self._recency.use(name, ids)
        if self._is_over():
            self._evict(spare=name)

    def remove(self, name: str, id_: Id) -> bool:
        """Forget one entry; False when it was not there."""
        with self._changing(name) as segments:
            if self._recency is not None:
                self._recency.forget(name, [id_])
            return segments.remove(id_)

    def drop(self, name: str) -> int:
        """Forget a partition; how many entries it held."""
        with self._lock:
            return self._drop_locked(name)

    def search(self, name: str, queries: Matrix, k: int, floor: float) -> list[list[Match]]:
        """The nearest of each query, all against the partition of one moment."""
        with self._lock:
            segments = self._by_name.get(name)
            if segments is None:
                return [[] for _ in queries]
            self._by_name.move_to_end(name)
            view = segments.open_view()
        found: list[list[Match]] = []
        try:
            found = view.nearest_many(queries, k, floor)
        finally:
            with self._lock:
                view.close()
                if self._recency is not None:
                    self._recency.touch(name, (each.id for best in found for each in best))
        return found

    def compact(self) -> None:
        """Leave nothing to do for later, one partition after the other."""
        with self._lock:
            names = list(self._by_name)
        for name in names:
            # Thorough first: beside steady additions there would always be something left.
            self._compactor.finish(name, partial(self._step, thorough=True))
            with self._changing(name) as segments:
                segments.trim()

    def filling(self) -> AbstractContextManager[None]:
        """Compaction begins nothing within the block."""
        return self._compactor.held()

    def size(self, name: str) -> int:
        """Entries in one partition."""
        with self._lock:
            return len(self._by_name.get(name, ()))

    def is_exact(self, name: str) -> bool:
        """Whether a search compares with every vector of a partition."""
        with self._lock:
            return name not in self._sealed

    def has(self, name: str, id_: Id) -> bool:
        """Whether one entry is there."""
        with self._lock:
            return id_ in self._by_name.get(name, ())

    def stats(self) -> Stats:
        """The sums over all partitions. O(1)."""
        is_compacting = self._compactor.is_running()
        with self._lock:
            sealed = list(self._sealed.values())
            return Stats(
                self._entries,
                len(self._by_name),
                self._bytes,
                sum(map(len, sealed)),
                sum(each.dead for each in sealed),
                is_compacting,
            )

    def close(self) -> None:
        """Compact no longer."""
        self._compactor.close()

    def _step(self, name: str, *, thorough: bool = False) -> bool:
        """Do one piece of compaction; False when there is none."""
        with self._lock:
            segments = self._by_name.get(name)
            if segments is None or not segments.needs_work(self._exact_below, thorough=thorough):
                return False
        from index.sealing import step  # noqa: PLC0415 - brings FAISS: small sidecars never pay

        guard = partial(self._holding, name, segments)
        is_done = step(segments, guard, self._exact_below, thorough=thorough)
        with self._lock:
            # The file that was searched before is as large as the one that is now.
            self._freed += segments.sealed.file.bytes if segments.sealed is not None else 0
        return is_done

    def _tidy(self) -> None:
        """Give memory back if much was freed."""
        with self._lock:
            if self._freed < SPARE_BYTES + self._bytes // SPARE_SHARE:
                return
            self._freed = 0
        trim()

    @contextmanager
    def _changing(self, name: str) -> Iterator[Segments]:
        """A partition under the lock, made if missing, gone afterwards if empty."""
        with self._lock:
            segments = self._by_name.get(name) or Segments(self._dimension)
            with self._counting(name, segments):
                yield segments
            is_there = name in self._by_name
            if is_there:
                self._by_name.move_to_end(name)
            needs_work = is_there and segments.needs_work(self._exact_below)
        if needs_work:
            self._compactor.call(name)

    @contextmanager
    def _holding(self, name: str, segments: Segments) -> Iterator[None]:
        """The lock, for what moves rows about and is no use of them."""
        with self._lock:
            if self._by_name.get(name) is not segments:
                yield  # it was dropped meanwhile
                return
            size = segments.bytes
            yield
            self._bytes += segments.bytes - size
            self._freed += max(0, size - segments.bytes)
            if segments.sealed is not None:
                self._sealed[name] = segments.sealed
            else:
                self._sealed.pop(name, None)

    @contextmanager
    def _counting(self, name: str, segments: Segments) -> Iterator[None]:
        """Keep the sums right, and the partition while it holds something."""
        entries, size = (len(segments), segments.bytes) if name in self._by_name else (0, 0)
        yield
        self._entries += len(segments) - entries
        if len(segments):
            self._by_name[name] = segments
            self._bytes += segments.bytes - size
        else:
            self._forget(name)
            self._bytes -= size

    def _forget(self, name: str) -> Segments | None:
        self._sealed.pop(name, None)
        return self._by_name.pop(name, None)

    def _evict(self, spare: str) -> None:
        """Let go of what is over the caps, and tell."""
        with self._lock:
            evicted = [*self._evict_partitions(spare), *self._evict_entries()]
        if self._on_evict is not None:
            for each in evicted:
                self._on_evict(each)

    def _evict_partitions(self, spare: str) -> Iterator[Evicted]:
        while self._max_bytes is not None and self._bytes > self._max_bytes:
            name = next(iter(self._by_name), spare)
            if name == spare:
                return  # all that was used before it is gone
            yield Evicted(name, self._drop_locked(name), None)

    def _evict_entries(self) -> Iterator[Evicted]:
        recency, most = self._recency, self._max_entries
        while recency is not None and most is not None and self._entries > most:
            name, id_ = recency.oldest()
            segments = self._by_name[name]
            with self._counting(name, segments):
                segments.remove(id_)
                recency.forget(name, [id_])
            yield Evicted(name, 1, (id_,))

    def _is_over(self) -> bool:
        return (self._max_entries is not None and self._entries > self._max_entries) or (
            self._max_bytes is not None and self._bytes > self._max_bytes
        )

    def _drop_locked(self, name: str) -> int:
        segments = self._forget(name)
        if segments is None:
            return 0
        if self._recency is not None:
            self._recency.forget(name, segments.ids())
        self._entries -= len(segments)
        self._bytes -= segments.bytes
        return len(segments)

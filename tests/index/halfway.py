"""One partition behind the face of an index, which can be stopped in the middle of a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock, Thread

import numpy as np

from index.protocol import Id, Match
from index.sealing import step
from index.segments import Segments, SegmentsView

EXACT_BELOW = 64
DEADLINE_S = 60
# A step that seals holds the lock to look, to take slots, to enter what was made, and to
# let go of what it read.
TO_TAKE, TO_ENTER, TO_LET_GO = 2, 3, 4


class Halfway:
    """Segments and a lock, as `index.partitions` has them."""

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.lock = Lock()
        self._stops_at = 0
        self._held = 0
        self._stopped, self._may_go_on = Event(), Event()
        self._thread: Thread | None = None

    def begin_step(self, stops_at: int = TO_ENTER) -> None:
        """Start a thorough step in a thread, and come back when it has stopped halfway."""
        self._stops_at, self._held = stops_at, 0
        self._thread = Thread(target=self.step, daemon=True)
        self._thread.start()
        assert self._stopped.wait(DEADLINE_S)

    def end_step(self) -> None:
        """Let the step that was begun come to its end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._may_go_on.set()
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def compact(self) -> None:
        """Leave nothing to do."""
        self.end_step()
        while self.step():
            pass

    def step(self) -> bool:
        """Do one thorough step; False when there is nothing to do."""
        return step(self.segments, self._guard, EXACT_BELOW, thorough=True)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        self._held += 1
        if self._held == self._stops_at:
            self._stopped.set()
            assert self._may_go_on.wait(DEADLINE_S)
        with self.lock:
            yield

    def open_view(self) -> SegmentsView:
        """What is stored now."""
        with self.lock:
            return self.segments.open_view()

    def close_view(self, view: SegmentsView) -> None:
        """The view is no longer read."""
        with self.lock:
            view.close()

    def add(self, id_: Id, vector: np.ndarray) -> None:
        """As `VectorIndex.add`."""
        self.add_many([id_], vector[None, :])

    def add_many(self, ids: Sequence[Id], matrix: np.ndarray) -> None:
        """As `VectorIndex.add_many`."""
        with self.lock:
            self.segments.put(list(ids), matrix)

    def remove(self, id_: Id) -> bool:
        """As `VectorIndex.remove`."""
        with self.lock:
            return self.segments.remove(id_)

    def search(self, query: np.ndarray, k: int = 1, floor: float = -1.0) -> list[Match]:
        """As `VectorIndex.search`."""
        return self.search_many(query[None, :], k, floor)[0]

    def search_many(
        self, queries: np.ndarray, k: int = 1, floor: float = -1.0
    ) -> list[list[Match]]:
        """As `VectorIndex.search_many`."""
        view = self.open_view()
        try:
            return view.nearest_many(queries, k, floor)
        finally:
            self.close_view(view)

    def has(self, id_: Id) -> bool:
        """As `VectorIndex.has`."""
        with self.lock:
            return id_ in self.segments

    def size(self) -> int:
        """As `VectorIndex.size`."""
        with self.lock:
            return len(self.segments)

"""The thread that compacts: it lives while there is work.

Partitions that have some are named; the thread takes one after the other, a step at a
time. Whoever wants all of it done at once does the steps himself; they exclude each other,
so a partition never has two at work.

A step that fails (out of memory) leaves its partition as it was: searchable, only not
compact. The thread ends with the error and a later change tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread, current_thread

from index.memory import trim


class Compactor:
    """Calls `step(name)` for each name until it says that nothing is left.

    `tidy()` follows what is done on a caller's thread; the thread of its own gives memory
    back when it ends.
    """

    def __init__(self, step: Callable[[str], bool], tidy: Callable[[], None]) -> None:
        self._step = step
        self._tidy = tidy
        self._names: dict[str, None] = {}  # in order, each once
        self._guard = Lock()  # over the names and the thread
        self._at_work = Lock()  # held for a step
        self._thread: Thread | None = None
        self._is_closed = False
        self._holds = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Begin no step within the block; what is to be done is done after it."""
        with self._guard:
            self._holds += 1
        try:
            yield
        finally:
            with self._guard:
                self._holds -= 1
                self._start_locked()

    def is_running(self) -> bool:
        """Whether the thread is at work."""
        with self._guard:
            return self._thread is not None

    def call(self, name: str) -> None:
        """There is work in this partition."""
        with self._guard:
            if self._is_closed:
                return
            self._names[name] = None
            self._start_locked()

    def _start_locked(self) -> None:
        if self._names and not self._holds and self._thread is None:
            self._thread = Thread(target=self._run, name="index-compaction", daemon=True)
            self._thread.start()

    def finish(self, name: str, first: Callable[[str], bool]) -> None:
        """Do `first`, here and now, then steps until nothing is left."""
        step = first
        while True:
            with self._at_work:
                if self._is_closed or not step(name):
                    break
            step = self._step
        self._tidy()  # also where the thread did it all, which may not have come to that yet

    def close(self) -> None:
        """Take nothing more on; a step under way ends by itself."""
        with self._guard:
            self._is_closed = True
            self._names.clear()

    def _run(self) -> None:
        try:
            while (name := self._next()) is not None:
                with self._at_work:
                    if self._step(name):
                        self.call(name)
                        continue
                if not self._has_names():
                    trim()
        finally:
            with self._guard:
                if self._thread is current_thread():  # a step failed
                    self._thread = None

    def _has_names(self) -> bool:
        with self._guard:
            return bool(self._names)

    def _next(self) -> str | None:
        with self._guard:
            if self._holds or not self._names:
                self._thread = None  # whoever calls from now on starts another
                return None
            name = next(iter(self._names))
            del self._names[name]
            return name

"""The way from the event loop to the embedding model: one worker thread, in order, on time.

It keeps the loop free: nothing here waits for the model, neither `embed` past its
deadline nor `close`. A text costs at most one run: equal texts that wait share one, a
text whose waiters have all left costs none, and a vector made lately is remembered.

The invariant: what it gives out is a unit vector of the model's dimension, whoever made
it, read-only because the memo and other callers hold the same array.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from sidecar.clock import Clock, SystemClock
from sidecar.embed.memo import Memo
from sidecar.embed.protocol import Embedder, Unembeddable, Vector, is_unit
from sidecar.reasons import Reason

Outcome = Vector | Reason


@dataclass(eq=False, slots=True)
class _Waiter:
    """One caller: woken on its own loop, unless it left or its deadline passed."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Vector]
    deadline_s: float

    def is_waiting(self, now_s: float) -> bool:
        return not self.future.done() and now_s < self.deadline_s

    def wake(self, outcome: Outcome) -> None:
        """Hand over the outcome, from any thread."""
        # RuntimeError: the caller's loop is closed, so nobody is there to be told.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.settle, outcome)

    def settle(self, outcome: Outcome) -> None:
        """Hand over the outcome, on the caller's own loop; the first one counts."""
        if self.future.done():
            return
        if isinstance(outcome, Reason):
            self.future.set_exception(Unembeddable(outcome))
        else:
            self.future.set_result(outcome)


@dataclass(eq=False, slots=True)
class _Job:
    """One text to embed, for everyone who asked for it."""

    text: str
    waiters: set[_Waiter] = field(default_factory=set)
    started_s: float | None = None


class EmbeddingQueue:
    """Embeds texts on one worker thread, each by its deadline.

    `timeout_s` counts from the call of `embed`, waiting included. `max_waiting` bounds
    the callers that wait; `memo_size` the vectors remembered (1.5 kB each at 384
    dimensions, plus the text).
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        timeout_s: float = 0.25,
        max_waiting: int = 64,
        memo_size: int = 2048,
        clock: Clock | None = None,
    ) -> None:
        self.embedder = embedder
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._memo = Memo(memo_size)
        self._clock = clock or SystemClock()
        # The lock guards what follows. It is held for dictionary steps only, never while
        # the model runs, so that the loop may take it.
        self._changed = threading.Condition(threading.Lock())
        self._pending: OrderedDict[str, _Job] = OrderedDict()
        self._running: _Job | None = None
        self._waiting = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="embed", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many callers wait now."""
        return self._waiting

    @property
    def queued(self) -> int:
        """How many texts are in line, the one in the model's hands not counted."""
        return len(self._pending)

    async def embed(self, text: str) -> Vector:
        """Return the vector of `text`: float32 (dimension,), unit length, read-only.

        Raises `Unembeddable`: the embedder's own reasons, `EMBED_TIMEOUT` past the
        deadline, `EMBED_BUSY` at once when too many wait, `EMBED_FAILED` once closed.
        """
        now_s = self._clock.tick()
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop, loop.create_future(), now_s + self._timeout_s)
        with self._changed:
            if (known := self._memo.get(text)) is not None:
                return known
            if reason := self._why_refused_locked(now_s):
                raise Unembeddable(reason)
            job = self._join_locked(text, waiter)
        alarm = loop.call_later(self._timeout_s, waiter.settle, Reason.EMBED_TIMEOUT)
        try:
            return await waiter.future
        finally:
            alarm.cancel()
            self._leave(job, waiter)

    def close(self, *, wait_s: float = 0.25) -> None:
        """Stop the worker; those in line get `EMBED_FAILED`.

        Waits up to `wait_s` for the run in progress (a usual one takes milliseconds); a
        stuck one is left behind on its daemon thread.
        """
        with self._changed:
            self._closed = True
            abandoned = [waiter for job in self._pending.values() for waiter in job.waiters]
            self._pending.clear()
            self._changed.notify()
        for waiter in abandoned:
            waiter.wake(Reason.EMBED_FAILED)
        self._thread.join(wait_s)

    def _why_refused_locked(self, now_s: float) -> Reason | None:
        if self._closed:
            return Reason.EMBED_FAILED
        if self._waiting >= self._max_waiting:
            return Reason.EMBED_BUSY
        # A run older than a whole deadline is stuck. Waiting behind it would cost each
        # request its full deadline for nothing.
        run = self._running
        if run and run.started_s is not None and now_s - run.started_s > self._timeout_s:
            return Reason.EMBED_TIMEOUT
        return None

    def _join_locked(self, text: str, waiter: _Waiter) -> _Job:
        running = self._running
        if running is not None and running.text == text:
            job = running
        elif (queued := self._pending.get(text)) is not None:
            job = queued
        else:
            job = self._pending[text] = _Job(text)
            self._changed.notify()
        job.waiters.add(waiter)
        self._waiting += 1
        return job

    def _leave(self, job: _Job, waiter: _Waiter) -> None:
        with self._changed:
            self._waiting -= 1
            job.waiters.discard(waiter)
            if not job.waiters and self._pending.get(job.text) is job:
                del self._pending[job.text]

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            outcome = self._run(job.text)
            with self._changed:
                self._running = None
                if not isinstance(outcome, Reason):
                    self._memo.put(job.text, outcome)
                waiters = list(job.waiters)
            for waiter in waiters:
                waiter.wake(outcome)

    def _next_job(self) -> _Job | None:
        """The oldest text that somebody still waits for; None once closed."""
        with self._changed:
            while not self._closed:
                if not self._pending:
                    self._changed.wait()
                    continue
                job = self._pending.popitem(last=False)[1]
                now_s = self._clock.tick()
                # The loop may be too busy to have told us that a deadline has passed.
                if any(waiter.is_waiting(now_s) for waiter in job.waiters):
                    job.started_s = now_s
                    self._running = job
                    return job
            return None

    def _run(self, text: str) -> Outcome:
        try:
            vector = self.embedder.embed(text)
        except Unembeddable as refused:
            return refused.reason
        except Exception:  # whatever a backend raises, the worker must live on
            return Reason.EMBED_FAILED
        if not is_unit(vector, self.embedder.dimension):
            return Reason.EMBED_FAILED
        vector.setflags(write=False)
        return vector

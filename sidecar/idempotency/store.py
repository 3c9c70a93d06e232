"""Where answers are kept: a SQLite file of their own, which outlives the process.

One thread does everything, so that the event loop never waits for the disk, and the file
is not even made before the first key comes. Answers are forgotten after `kept_s` seconds,
and the oldest of them earlier where there are too many or they take too much room; the
log says so.

What can't be looked up must not be taken for new: `get` then raises, and the request is
refused, for its client asked not to be answered twice. What can't be kept is given all
the same, since it has been paid for; the log says so once. A damaged file is set aside,
and what was in it is answered anew: no later try would find it either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sidecar.clock import Clock
from sidecar.errors import IdempotencyUnavailableError
from sidecar.idempotency.file import FAILURES, AnswerFile, Bounds, can_forget
from sidecar.idempotency.recorded import Place, Recorded

KEPT_S = 86_400.0
MAX_ROWS = 100_000
MAX_BYTES = 256 << 20
MAX_ANSWER_BYTES = 8 << 20
SWEEP_S = 3600.0
T = TypeVar("T")
_log = logging.getLogger(__name__)


class AnswerStore:
    """Keeps answers by place. Use on one event loop; `close` it when nobody asks any more."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        kept_s: float = KEPT_S,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._file = AnswerFile(path, Bounds(kept_s, max_rows, max_bytes))
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="idempotency")
        self.failing = False
        self.generation = 0
        """Another one after each purge: what was asked before it is not kept after it."""

    async def get(self, place: Place) -> Recorded | None:
        """What was answered there; `IdempotencyUnavailableError` where that can't be told."""
        try:
            return await self._run(lambda: self._file.find(place, self._clock.now()))
        except FAILURES as error:
            self._complain(error)
            raise IdempotencyUnavailableError(
                "it can't be looked up whether this Idempotency-Key was answered before;"
                " call again, or without the header",
                headers={"retry-after": "1"},
            ) from error

    async def put(self, place: Place, answer: Recorded, generation: int | None = None) -> bool:
        """Keep an answer; False where it can't be kept, or was asked for in a `generation`
        that is over.
        """
        if generation is not None and generation != self.generation:
            return False
        if len(answer.body) > MAX_ANSWER_BYTES:
            told = "the answer to %s is too large to be kept under its Idempotency-Key: %d bytes"
            _log.warning(told, answer.request_id, len(answer.body))
            return False
        try:
            await self._run(lambda: self._file.keep(place, answer, self._clock.now()))
        except FAILURES as error:
            self._complain(error)
            return False
        return True

    async def forget(self, field: str, value: str, *, dry_run: bool) -> int:
        """Forget by tenant, by user, or all; how many matched. By what else nothing is known."""
        if not can_forget(field):
            return 0
        if not dry_run:
            self.generation += 1
        if not self._file.exists:
            return 0
        try:
            return await self._run(lambda: self._file.forget(field, value, dry_run=dry_run))
        except FAILURES as error:
            told = f"{self._file.path} can't be purged: {error}"
            raise IdempotencyUnavailableError(told) from error

    async def expire(self, every_s: float = SWEEP_S) -> None:
        """Forget what is over, now and from time to time until cancelled: where no other key
        comes, nothing else would.
        """
        while True:
            if self._file.exists:
                try:
                    await self._run(lambda: self._file.sweep(self._clock.now()))
                except FAILURES as error:
                    self._complain(error)
            await asyncio.sleep(every_s)

    async def close(self) -> None:
        """End the thread, once it has done what was asked."""
        await asyncio.to_thread(self._thread.shutdown)
        self._file.close()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            future = self._thread.submit(lambda: self._attempt(work))
        except RuntimeError as error:  # it was closed
            raise OSError(str(error)) from error
        return await asyncio.wrap_future(future)

    def _attempt(self, work: Callable[[], T]) -> T:
        """Do it, in the thread; once more on a fresh file where this one is damaged."""
        try:
            done = work()
        except FAILURES as error:
            if not self._file.start_over(error, self._clock.now()):
                raise
            done = work()
        self.failing = False
        return done

    def _complain(self, error: Exception) -> None:
        """Say it once for each time it begins."""
        if not self.failing:
            self.failing = True
            told = "answers under an Idempotency-Key can't be kept in %s: %s"
            _log.error(told, self._file.path, error)

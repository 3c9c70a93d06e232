"""The only place that creates asyncio tasks.

A task that nobody holds can be collected while it runs, and one that fails unseen
hides its error. A `TaskGroup` of the standard library ends all when one fails, which
is wrong for work of strangers; this one keeps them apart and ends them at `close`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Tasks:
    """Background tasks of one owner. Use on one event loop only."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(
        self, work: Coroutine[Any, Any, T], *, name: str, awaited: bool = False
    ) -> asyncio.Task[T]:
        """Run `work` until it ends or `close`.

        A failure is logged with the task's name, unless the task is `awaited`: then
        whoever waits for it is told, and the log would tell it twice.
        """
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._awaited_ended if awaited else self._ended)
        return task

    def _awaited_ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # read it, or asyncio warns of an exception never retrieved

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("task %s failed: %s", task.get_name(), error, exc_info=error)

    async def close(self) -> None:
        """Cancel what still runs and wait for its end."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

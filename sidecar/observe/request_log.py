"""One line a request, readable on a terminal and JSON elsewhere.

Lines are made and written in a thread, a few times a second: standard error may be a pipe
that nobody empties, and the event loop must not wait for it. What doesn't fit into the
queue meanwhile is dropped with a count. Prompt text, answers, keys and who asked are never
in a line: it is made from a few fields of the request row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

import orjson

from sidecar.events import Event, RequestRow

FLUSH_S = 0.1
MAX_PENDING = 20_000


class RequestLog:
    """An observer that writes to `stream`. Use on one event loop; `close` writes the rest."""

    def __init__(self, stream: TextIO, *, readable: bool) -> None:
        self._stream = stream
        self._line = text_line if readable else json_line
        self._pending: list[RequestRow] = []
        self._writing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0

    def observe(self, event: Event) -> None:
        """Take a row; other events are for metrics."""
        if not isinstance(event, RequestRow):
            return
        if len(self._pending) >= MAX_PENDING:
            self.dropped += 1
            return
        self._pending.append(event)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        if self._writing is not None and not self._writing.done():
            self._timer = loop.call_later(FLUSH_S, self._flush)
            return
        rows, self._pending, self._timer = self._pending, [], None
        self._writing = loop.run_in_executor(None, self._write, rows)

    def _write(self, rows: Iterable[RequestRow]) -> None:
        try:
            self._stream.write("".join(map(self._line, rows)))
            self._stream.flush()
        except (OSError, ValueError, TypeError):  # nobody reads it, it is closed, or no JSON
            self.dropped += 1

    async def close(self) -> None:
        """Write what is left."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await self._writing
        rows, self._pending, self._timer = self._pending, [], None
        self._write(rows)


def json_line(row: RequestRow) -> str:
    """For machines."""
    line = {
        "time": _time(row).isoformat(timespec="milliseconds"),
        "level": "info",
        "logger": "sidecar.requests",
        "message": "answered",
        "request_id": row.id,
        "endpoint": row.endpoint,
        "model": row.model,
        "status": row.status,
        "cache": row.outcome,
        "reason": row.reason,
        "error": row.error,
        "ms": round(row.total_ms, 2),
        "provider_ms": round(row.provider_ms, 2),
    }
    return orjson.dumps(line).decode() + "\n"


def text_line(row: RequestRow) -> str:
    """For people."""
    reason = f" ({row.reason})" if row.reason else ""
    told = f"{row.id} {row.status} {row.outcome} {row.model}{reason} {row.total_ms:.1f} ms"
    return f"{_time(row).astimezone():%H:%M:%S} INFO    {told}\n"


def _time(row: RequestRow) -> datetime:
    return datetime.fromtimestamp(row.started_at + row.total_ms / 1e3, UTC)

"""What is done with one request: waited for, billed, answered, or made to fail as scripted.

It behaves as a provider on the far side of a network: it keeps a pace, notices when its
reader leaves, and writes everything into the ledger. It knows no vendor's words. The
invariant: a token is billed before it is written, never after, so that no token ever
reached a client unbilled.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from aiohttp import web

from sidecar.providers.simulated.dialects import Asked, Dialect
from sidecar.providers.simulated.engine import answers, count_prompt_tokens, last_said
from sidecar.providers.simulated.ledger import Ledger, Row
from sidecar.providers.simulated.script import Fault, Script
from sidecar.providers.simulated.shape import Event

JSON = "application/json"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Turn(NamedTuple):
    """One request under way: its connection, its vendor's words, its row and its fate."""

    http: web.Request
    dialect: Dialect
    row: Row
    fault: Fault


class Answering:
    """Answers requests of every dialect; at latency 0 and pace 0 at once."""

    def __init__(self, ledger: Ledger, script: Script, *, latency_s: float, token_s: float) -> None:
        self._ledger = ledger
        self._script = script
        self._latency_s = latency_s
        self._token_s = token_s

    async def chat(self, http: web.Request, dialect: Dialect, asked: Asked) -> web.StreamResponse:
        """Answer with text or a tool call, whole or streaming."""
        turn = self._open(http, dialect, asked)
        with self._noting_who_leaves(turn.row):
            if refusal := await self._begin(turn, count_prompt_tokens(asked.request)):
                return refusal
            return await (self._stream if asked.streams else self._whole)(turn, asked)

    async def plain(
        self,
        http: web.Request,
        dialect: Dialect,
        asked: Asked,
        build: Callable[[Row, Fault], bytes],
        prompt_tokens: int = 0,
    ) -> web.StreamResponse:
        """Answer with a body that has no tokens of its own, such as vectors or a count."""
        turn = self._open(http, dialect, asked)
        with self._noting_who_leaves(turn.row):
            if refusal := await self._begin(turn, prompt_tokens):
                return refusal
            return await self._send(turn, build(turn.row, turn.fault))

    def _open(self, http: web.Request, dialect: Dialect, asked: Asked) -> _Turn:
        row = self._ledger.open(dialect.kind, asked.model, asked.messages, dialect.endpoint)
        fault = self._script.next_fault(row.model, last_said(asked.request))
        return _Turn(http, dialect, row, fault)

    @contextmanager
    def _noting_who_leaves(self, row: Row) -> Iterator[None]:
        try:
            yield
        except (asyncio.CancelledError, ConnectionError):
            self._ledger.end(row, "left")
            raise

    async def _begin(self, turn: _Turn, prompt_tokens: int) -> web.Response | None:
        """Wait as scripted; then refuse as scripted, or bill the prompt."""
        row, fault = turn.row, turn.fault
        if fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault.status is not None and fault.status >= 300 and fault.error_after_events is None:
            self._ledger.end(row, "refused", fault.status)
            return _scripted_error(turn.dialect, fault.status, fault)
        self._ledger.bill(row, prompt=prompt_tokens)
        return None

    async def _whole(self, turn: _Turn, asked: Asked) -> web.StreamResponse:
        row, made = turn.row, answers(asked.request)
        tokens = sum(len(answer.tokens) for answer in made)
        self._ledger.bill(row, completion=tokens)
        await _pause(self._latency_s + tokens * self._token_s)
        body = turn.dialect.whole(asked, _head(row), made, row.prompt_tokens, turn.fault)
        return await self._send(turn, body)

    async def _send(self, turn: _Turn, body: bytes) -> web.StreamResponse:
        """Send a whole body, unless the script has it lost or cut."""
        if turn.fault.lost_reply:
            return self._lose(turn)
        if turn.fault.cut_after_events is not None or turn.fault.reset:
            return await self._cut_whole(turn, body)
        self._ledger.end(turn.row, "completed")
        return web.Response(body=body, content_type=JSON)

    async def _cut_whole(self, turn: _Turn, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": JSON})
        response.content_length = len(body)
        await response.prepare(turn.http)
        await response.write(body[: len(body) // 2])
        return self._drop(turn, response)

    async def _stream(self, turn: _Turn, asked: Asked) -> web.StreamResponse:
        await _pause(self._latency_s)
        row, made = turn.row, answers(asked.request)
        events = list(turn.dialect.events(asked, _head(row), made, row.prompt_tokens, turn.fault))
        if turn.fault.lost_reply:
            self._ledger.bill(row, completion=sum(tokens for _, tokens in events))
            return self._lose(turn)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(turn.http)
        return await self._write_events(turn, response, events)

    async def _write_events(
        self, turn: _Turn, response: web.StreamResponse, events: list[Event]
    ) -> web.StreamResponse:
        """Write them at the pace, as many as the script allows, and end as it says."""
        row, fault = turn.row, turn.fault
        if fault.error_after_events is not None:
            failure = (turn.dialect.error_event(fault), 0)
            events = [*events[: fault.error_after_events], failure]
        kept = events[: _most_events(events, fault)]
        await self._write(response, kept, row)
        if len(kept) < len(events):
            return self._drop(turn, response)
        await response.write_eof()
        self._ledger.end(row, "completed" if fault.error_after_events is None else "failed")
        return response

    async def _write(self, response: web.StreamResponse, kept: list[Event], row: Row) -> None:
        if self._token_s:
            await self._write_paced(response, kept, row)
            return
        self._ledger.bill(row, completion=sum(tokens for _, tokens in kept))
        await response.write(b"".join(event for event, _ in kept))

    async def _write_paced(self, response: web.StreamResponse, kept: list[Event], row: Row) -> None:
        due = asyncio.get_running_loop().time()
        for event, tokens in kept:
            self._ledger.bill(row, completion=tokens)
            await response.write(event)
            due += tokens * self._token_s
            await _pause(due - asyncio.get_running_loop().time())

    def _drop(self, turn: _Turn, response: web.StreamResponse) -> web.StreamResponse:
        self._ledger.end(turn.row, "reset" if turn.fault.reset else "cut")
        _hang_up(turn.http, with_reset=turn.fault.reset)
        return response

    def _lose(self, turn: _Turn) -> web.Response:
        """All the work was done and is billed, and not one byte of it arrives."""
        self._ledger.end(turn.row, "lost")
        _hang_up(turn.http, with_reset=turn.fault.reset)
        return web.Response()  # nobody is there to read it


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


def _most_events(events: list[Event], fault: Fault) -> int | None:
    if fault.cut_after_events is None and fault.reset:
        return len(events) // 2
    return fault.cut_after_events


def _hang_up(http: web.Request, *, with_reset: bool) -> None:
    if http.transport is None:
        return
    if with_reset:
        _reset_on_close(http.transport)
        http.transport.abort()
    else:
        http.transport.close()


def _reset_on_close(transport: asyncio.Transport) -> None:
    """Have the kernel send RST instead of FIN. By a copy, for uvloop shows no real socket."""
    shown = transport.get_extra_info("socket")
    with socket.fromfd(shown.fileno(), shown.family, shown.type) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _head(row: Row) -> dict[str, Any]:
    return {"id": row.id, "created": int(time.time()), "model": row.model}


def _scripted_error(dialect: Dialect, status: int, fault: Fault) -> web.Response:
    response = web.Response(status=status, body=dialect.error(status, fault), content_type=JSON)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = f"{fault.retry_after:g}"
    return response

"""Chunks of an answer as the events of an OpenAI Responses stream.

`response.created` comes first, then each item as it grows, and at the end one event with
the whole reply: `completed`, `incomplete`, or `failed`. Events are numbered. The
invariant: the reply in the last event is what the events before it told, and what a
whole reply would have said of the same answer.

A failure is told twice: by `response.failed` for clients that follow the types, then by
an `error` that the SDK raises, so that no client that merely iterates takes half an
answer for a whole one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sidecar.domain import ChatRequest, Chunk, Delta, Json, ToolCallDelta, Usage
from sidecar.errors import SidecarError
from sidecar.wire import sse
from sidecar.wire.body import dump
from sidecar.wire.responses_items import (
    IN_PROGRESS,
    ITEM_DONE,
    REFUSAL,
    TEXT,
    Event,
    GrowingCall,
    GrowingMessage,
)
from sidecar.wire.responses_reply import (
    State,
    identity,
    ids_of_call,
    message_id,
    read_annotations,
    read_logprobs,
    said,
    snapshot,
    status_of,
    stem,
    why_incomplete,
)

_FAILED_CODES: Final = {"rate_limited": "rate_limit_exceeded"}
"""Our codes in the few words of `response.failed`; the rest are a server's error there."""


class ResponsesWriter:
    """Writes one stream. What it holds is one answer, which its reader bounds."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._number = 0
        self._head: dict[str, Json] = {}
        self._stem = ""
        self._model = ""
        self._service_tier: Json = None
        self._choice: int | None = None
        self._finish: str | None = None
        self._message: GrowingMessage | None = None
        self._calls: dict[int, GrowingCall] = {}
        self._opened = 0
        self._annotations: list[Json] = []
        self._logprobs: list[Json] = []

    def chunk(self, chunk: Chunk) -> bytes:
        """The events of one chunk. Before there is an id or content nothing can be told."""
        self._model = self._model or chunk.model
        self._service_tier = chunk.extra.get("service_tier") or self._service_tier
        if not (self._head or chunk.id or any(delta.has_content for delta in chunk.deltas)):
            return b""
        begun = self._begin(chunk.id, chunk.created)
        return begun + b"".join(self._write(self._grow(delta)) for delta in chunk.deltas)

    def end(self, usage: Usage | None, told: Mapping[str, Json]) -> bytes:
        """The ends of all items, and the whole reply. What is `told` stands beside it."""
        begun = self._begin("", 0)
        status = status_of(self._finish)
        details = why_incomplete(self._finish)
        closing, output = self._close(status)
        reply = self._reply(status, output=output, details=details, usage=usage)
        last = (f"response.{status}", {"response": reply, "sidecar": told})
        return begun + self._write([*closing, last])

    def error(self, error: SidecarError) -> bytes:
        """The failure, in both its forms."""
        begun = self._begin("", 0)
        failure, events = failure_of(error)
        failed = self._reply(failure["status"], error=failure["error"])
        return begun + self._write([("response.failed", {"response": failed}), *events])

    def _begin(self, answer_id: str, created: int) -> bytes:
        if self._head:
            return b""
        self._head, self._stem = identity(answer_id, created), stem(answer_id)
        reply = self._reply(IN_PROGRESS)
        names = ("response.created", "response.in_progress")
        return self._write((name, {"response": reply}) for name in names)

    def _reply(self, status: str, **fields: Json) -> Json:
        state = State(status, self._model, service_tier=self._service_tier, **fields)
        return {**self._head, **snapshot(self._request, state)}

    def _write(self, events: Iterable[Event]) -> bytes:
        written: list[bytes] = []
        for name, fields in events:
            numbered = {"type": name, "sequence_number": self._number, **fields}
            self._number += 1
            written.append(sse.encode(dump(numbered), name))
        return b"".join(written)

    def _grow(self, delta: Delta) -> Iterator[Event]:
        if self._choice is None:
            self._choice = delta.index
        if delta.index != self._choice:
            return
        self._finish = delta.finish or self._finish
        self._annotations += read_annotations(delta.extra)
        logprobs = read_logprobs(delta.logprobs)
        self._logprobs += logprobs
        if text := said(delta.text, delta.extra):
            yield from self._say(TEXT, text, logprobs)
        if delta.refusal:
            yield from self._say(REFUSAL, delta.refusal, ())
        for piece in delta.tool_calls:
            yield from self._call(piece)

    def _say(self, kind: str, piece: str, logprobs: Iterable[Json]) -> Iterator[Event]:
        if self._message is None:
            self._message = GrowingMessage(
                message_id(self._stem), self._place(), self._annotations, self._logprobs
            )
            yield self._message.opened()
        yield from self._message.say(kind, piece, tuple(logprobs))

    def _call(self, piece: ToolCallDelta) -> Iterator[Event]:
        call = self._calls.get(piece.index)
        if call is None:
            ids = ids_of_call(self._stem, len(self._calls))
            call = self._calls[piece.index] = GrowingCall(*ids)
        call.learn(piece)
        if call.place is not None:
            if piece.arguments:
                yield call.grown(piece.arguments)
        elif call.name:
            yield from call.opened(self._place())

    def _place(self) -> int:
        """The place of a new item in the output."""
        self._opened += 1
        return self._opened - 1

    def _close(self, status: str) -> tuple[list[Event], list[Json]]:
        """The events that end all items, and the items, in the order of their beginning."""
        events: list[Event] = []
        for call in self._calls.values():
            if call.place is None:
                events += call.opened(self._place())
        items: list[GrowingMessage | GrowingCall] = list(self._calls.values())
        if self._message is not None:
            items.append(self._message)
        for item in sorted(items, key=lambda item: item.place or 0):
            events += item.closed(status)
        return events, [fields["item"] for name, fields in events if name == ITEM_DONE]


def failure_of(error: SidecarError) -> tuple[dict[str, Json], list[Event]]:
    """What a failure changes in the reply of a stream, and the events behind its failed one."""
    code = _FAILED_CODES.get(error.code, "server_error")
    known = {"message": error.message, "code": error.code, "param": error.param}
    nested = {**error.body_detail, **known, "type": error.kind}
    changed = {"status": "failed", "error": {"code": code, "message": error.message}}
    return changed, [("error", {**known, "error": nested})]

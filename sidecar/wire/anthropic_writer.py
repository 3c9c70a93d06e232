"""Chunks, whoever sent them, as the events that Anthropic's clients read.

Blocks are told one after the other, each opened and closed; usage comes with the end. A
piece (see `anthropic_content`) is told at once where it belongs here and now, as all do in
a live stream. In a stored answer that is told again all pieces come before text and calls;
from the first that belongs further on, the rest is laid out when all of it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sidecar.domain import Choice, Chunk, Delta, Json, ToolCallDelta, Usage
from sidecar.errors import SidecarError, UpstreamInvalidError
from sidecar.wire import sse
from sidecar.wire.anthropic_content import PIECES, Block, pieces_of, place_of, write_blocks
from sidecar.wire.anthropic_errors import build_error
from sidecar.wire.anthropic_reply import end_of, told_beside
from sidecar.wire.anthropic_usage import write_usage
from sidecar.wire.assemble import Assembler
from sidecar.wire.body import dump
from sidecar.wire.merge import merged
from sidecar.wire.spoken import spoken

_START: Final[dict[str, Json]] = {
    "type": "message",
    "role": "assistant",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
}

_OUTER: Final = ("context_management", "input_transformations")
"""What Anthropic tells beside the last delta and not in it."""

_LAST: Final = ("container", "context_management", "stop_details")
"""What it tells at the end, where SDKs look for it, whenever it was known."""


class MessagesWriter:
    """Writes one stream."""

    def __init__(self) -> None:
        self._started = False
        self._open = ""
        self._index = -1
        self._chars = 0
        self._calls = 0
        self._call: int | None = None  # the call whose block is open
        self._known: set[int] = set()
        self._refused = False
        self._finish: str | None = None
        self._end: list[Mapping[str, Json]] = []
        self._beside: Mapping[str, Json] = {}
        self._told: Mapping[str, Json] = {}
        self._later: Assembler | None = None
        self._pieces: list[Block] = []

    def chunk(self, chunk: Chunk) -> bytes:
        """The events that one chunk is told by."""
        if told := told_beside(chunk.extra):
            self._beside = told
        deltas = [delta for delta in chunk.deltas if delta.index == 0]
        if not deltas:
            return b""
        events = [] if self._started else [self._begin(chunk)]
        for delta in deltas:
            events += self._tell(delta)
        return b"".join(events)

    def end(self, usage: Usage | None, told: Mapping[str, Json]) -> bytes:
        """What is left, the reason of the end, usage, and the end. No field has room for `told`."""
        if not self._started:
            return b""
        events = [*self._told_later(), *self._close()]
        end = end_of(self._finish, merged(self._end), calls=self._calls > 0, refused=self._refused)
        tokens = write_usage(usage, self._beside.get("usage"))
        rest = {k: v for k, v in self._beside.items() if k != "usage" and self._is_news(k)}
        inner = {k: v for k, v in rest.items() if k not in _OUTER}
        outer = {k: v for k, v in rest.items() if k in _OUTER}
        events.append(_event("message_delta", delta={**inner, **end}, usage=tokens, **outer))
        return b"".join((*events, _event("message_stop")))

    def error(self, error: SidecarError) -> bytes:
        """The event that SDKs raise."""
        return sse.encode(build_error(error), "error")

    def _begin(self, chunk: Chunk) -> bytes:
        self._started = True
        usage = write_usage(chunk.usage, self._beside.get("usage"))
        self._told = {k: v for k, v in self._beside.items() if k not in _LAST}
        head = {"id": chunk.id, **_START, "model": chunk.model}
        message = {**self._told, **head, "usage": usage}
        return _event("message_start", message=message)

    def _is_news(self, name: str) -> bool:
        """Whether a field was not told at the start, or otherwise."""
        return name not in self._told or self._told[name] != self._beside[name]

    def _tell(self, delta: Delta) -> list[bytes]:
        self._finish = delta.finish or self._finish
        self._refused = self._refused or bool(delta.refusal)
        if delta.extra:
            self._end.append({k: v for k, v in delta.extra.items() if k != PIECES})
        events: list[bytes] = []
        for piece in pieces_of(delta.extra):
            events += self._tell_piece(piece)
        if self._later is not None:
            self._later.feed(Chunk("", 0, "", (replace(delta, extra={}, index=0),)))
            return events
        for text in (spoken(delta.text, delta.extra), delta.refusal):
            if text:
                events += self._say(text)
        for part in delta.tool_calls:
            events += self._argue(part)
        return events

    def _tell_piece(self, piece: Block) -> list[bytes]:
        at = place_of(piece)
        if self._later is None and at is not None and at != (self._chars, self._calls):
            self._later = Assembler()
        if self._later is not None:
            self._pieces.append(piece)
            return []
        if opened := piece.get("open"):
            fresh = {"text": ""} if opened["type"] == "text" else {}
            return self._begin_block(opened["type"], {**opened, **fresh})
        return [self._delta(piece["add"])] if self._open else []

    def _say(self, text: str) -> list[bytes]:
        events = []
        if self._open != "text":
            events = self._begin_block("text", {"type": "text", "text": ""})
        self._chars += len(text)
        return [*events, self._delta({"type": "text_delta", "text": text})]

    def _argue(self, part: ToolCallDelta) -> list[bytes]:
        events = [] if part.index == self._call else self._begin_call(part)
        if not part.arguments:
            return events
        return [*events, self._delta({"type": "input_json_delta", "partial_json": part.arguments})]

    def _begin_call(self, part: ToolCallDelta) -> list[bytes]:
        if part.index in self._known:
            raise UpstreamInvalidError(
                "the model's calls are mixed in a way that Anthropic's events can't tell",
                reason="calls_mixed",
            )
        self._known.add(part.index)
        known = ("type", "input")
        extra = {k: v for k, v in part.extra.items() if k not in known}
        block = {**extra, "type": "tool_use", "id": part.id or "", "name": part.name or ""}
        events = self._begin_block("tool_use", {**block, "input": {}})
        self._call = part.index
        self._calls += 1
        return events

    def _begin_block(self, kind: str, block: Mapping[str, Json]) -> list[bytes]:
        events = self._close()
        self._open = kind
        self._index += 1
        events.append(_event("content_block_start", index=self._index, content_block=block))
        return events

    def _close(self) -> list[bytes]:
        if not self._open:
            return []
        self._open, self._call = "", None
        return [_event("content_block_stop", index=self._index)]

    def _delta(self, delta: Mapping[str, Json]) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)

    def _told_later(self) -> list[bytes]:
        """What waited for its place, block by block; the first may continue the open text."""
        if self._later is None:
            return []
        start = self._chars, self._calls
        pieces = self._pieces
        if continues := self._open == "text":
            pieces = [{"at": [*start], "open": {"type": "text"}}, *pieces]
        choices = self._later.completion().choices
        choice = replace(choices[0] if choices else Choice(), extra={PIECES: pieces})
        self._calls += len(choice.tool_calls)
        blocks = write_blocks(choice, start)
        events = self._continue(blocks.pop(0)) if continues else []
        for block in blocks:
            events += self._tell_block(block)
        return events

    def _continue(self, block: Block) -> list[bytes]:
        events = [self._delta({"type": "text_delta", "text": block["text"]})]
        cited = ({"type": "citations_delta", "citation": c} for c in block.get("citations", ()))
        return [*events, *map(self._delta, cited)]

    def _tell_block(self, block: Block) -> list[bytes]:
        kind = block["type"]
        if kind == "text":
            began = self._begin_block(kind, {**block, "text": ""})
            return [*began, self._delta({"type": "text_delta", "text": block["text"]})]
        if kind == "tool_use":
            began = self._begin_block(kind, {**block, "input": {}})
            partial = dump(block["input"]).decode()
            return [*began, self._delta({"type": "input_json_delta", "partial_json": partial})]
        return self._begin_block(kind, block)


def _event(kind: str, **fields: Json) -> bytes:
    return sse.encode(dump({"type": kind, **fields}), kind)

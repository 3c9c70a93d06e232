"""An Anthropic provider's stream, event by event, as chunks.

Blocks come one after the other: each is opened, grows and is closed before the next. What
breaks that order is refused, for its text would end up in another block. Pings and events
unknown here say nothing. The stream's end is `message_stop` and nothing else.

`keep` is as for whole replies: what only a client of Anthropic's could see goes along.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.domain import NOTHING, Chunk, Delta, Json, ToolCallDelta, Usage
from sidecar.wire.anthropic_blocks import without_nulls
from sidecar.wire.anthropic_content import PIECES, opens
from sidecar.wire.anthropic_reply import beside_of, check_block, failed, read_end, string
from sidecar.wire.anthropic_usage import read_usage
from sidecar.wire.body import MalformedError, dump, load_object
from sidecar.wire.unreadable import unreadable

_Event = dict[str, Json]


class MessageReader:
    """Takes the data of each event. One per stream; `ended` once `message_stop` came."""

    def __init__(self, *, created: int = 0, keep: bool = True) -> None:
        self.ended = False
        self._created = created
        self._keep = keep
        self._head: tuple[str, int, str] | None = None
        self._usage: _Event = {}
        self._beside: _Event = {}
        self._chars = 0
        self._calls = 0
        self._index: int | None = None
        self._open = ""
        self._last = ""
        self._input: Json = None
        self._read = {
            "message_start": self._start,
            "content_block_start": self._block,
            "content_block_delta": self._grow,
            "content_block_stop": self._close,
            "message_delta": self._end,
            "message_stop": self._stop,
        }

    def read(self, data: bytes) -> Chunk | None:
        """What an event tells, if anything; raises `UpstreamError` and nothing else."""
        try:
            raw = load_object(data)
            kind = raw.get("type")
            if kind == "error" or raw.get("error"):
                raise failed(raw.get("error"), "error_in_stream")
            read = self._read.get(kind) if type(kind) is str else None
            return None if read is None or self.ended else read(raw)
        except MalformedError as error:
            raise unreadable(error) from None

    def _start(self, raw: _Event) -> Chunk:
        message = raw.get("message")
        if type(message) is not dict or self._head is not None:
            raise MalformedError("the first event and hold a message", "message_start")
        self._head = (string(message, "id"), self._created, string(message, "model"))
        usage = self._count(message)
        return self._chunk(Delta(role="assistant"), usage, self._told(message))

    def _block(self, raw: _Event) -> Chunk | None:
        if self._head is None or self._index is not None or type(raw.get("index")) is not int:
            raise MalformedError("an index, after the block before was closed", "index")
        self._index = raw["index"]
        block = check_block(raw.get("content_block"), "content_block")
        self._open = block["type"]
        if self._open == "tool_use":
            return self._open_call(block)
        if self._open != "text":
            return self._piece({"at": [self._chars, self._calls], "open": block})
        chunks = self._open_text(block)
        self._chars += len(block["text"])
        return chunks

    def _open_text(self, block: _Event) -> Chunk | None:
        text = block["text"] or None
        piece: _Event | None = None
        if self._keep and opens(block, after=self._last, calls=self._calls):
            rest = {name: value for name, value in block.items() if name != "text"}
            piece = {"at": [self._chars, self._calls], "open": rest}
        if text is None and piece is None:
            return None
        return self._chunk(Delta(text=text, extra={PIECES: [piece]} if piece else NOTHING))

    def _open_call(self, block: _Event) -> Chunk:
        self._input = block["input"]
        known = ("type", "id", "name", "input")
        extra = {k: v for k, v in without_nulls(block).items() if k not in known}
        call = ToolCallDelta(
            self._calls,
            block["id"],
            block["name"],
            kind="function",
            extra=extra if self._keep and extra else NOTHING,
        )
        self._calls += 1
        return self._chunk(Delta(tool_calls=(call,)))

    def _grow(self, raw: _Event) -> Chunk | None:
        delta = raw.get("delta")
        if self._index is None or raw.get("index") != self._index or type(delta) is not dict:
            raise MalformedError("a delta of the open block", "content_block_delta")
        kind = delta.get("type")
        if kind == "text_delta" and self._open == "text":
            return self._say(_text(delta, "text"))
        if kind == "input_json_delta" and self._open == "tool_use":
            return self._argue(_text(delta, "partial_json"))
        if self._open == "text":
            return self._piece({"at": [self._chars, self._calls], "add": delta})
        return self._piece({"add": delta})

    def _say(self, text: str) -> Chunk | None:
        self._chars += len(text)
        return self._chunk(Delta(text=text)) if text else None

    def _argue(self, arguments: str) -> Chunk | None:
        if not arguments:
            return None
        self._input = None
        return self._chunk(Delta(tool_calls=(ToolCallDelta(self._calls - 1, arguments=arguments),)))

    def _close(self, raw: _Event) -> Chunk | None:
        if self._index is None or raw.get("index") != self._index:
            raise MalformedError("that of the open block", "index")
        self._index, self._last = None, self._open
        if self._open != "tool_use" or self._input is None:
            return None
        # No arguments came in pieces: the block was whole when it was opened.
        arguments = dump(self._input).decode()
        return self._argue(arguments)

    def _end(self, raw: _Event) -> Chunk:
        delta = raw.get("delta")
        if type(delta) is not dict or self._index is not None:
            raise MalformedError("an end behind the last block", "message_delta")
        finish, extra = read_end(delta, calls=self._calls > 0, keep=self._keep)
        usage = self._count(raw)
        beside = {k: v for k, v in raw.items() if k != "delta"}
        return self._chunk(
            Delta(finish=finish, extra=extra or NOTHING), usage, self._told({**beside, **delta})
        )

    def _stop(self, _: _Event) -> None:
        if self._head is None or self._index is not None:
            raise MalformedError("behind a whole message", "message_stop")
        self.ended = True

    def _count(self, raw: _Event) -> Usage | None:
        """Usage so far: later events repeat what they change and leave out the rest."""
        usage = raw.get("usage")
        if type(usage) is dict:
            self._usage |= {name: value for name, value in usage.items() if value is not None}
        return read_usage(self._usage)

    def _told(self, raw: Mapping[str, Json]) -> Mapping[str, Json]:
        if not self._keep:
            return NOTHING
        extra = beside_of(raw, self._usage)
        for told in extra.values():
            self._beside |= told
        return {name: dict(self._beside) for name in extra}

    def _piece(self, piece: _Event) -> Chunk | None:
        return self._chunk(Delta(extra={PIECES: [piece]})) if self._keep else None

    def _chunk(
        self, delta: Delta, usage: Usage | None = None, extra: Mapping[str, Json] = NOTHING
    ) -> Chunk:
        if self._head is None:
            raise MalformedError("the first event", "message_start")
        return Chunk(*self._head, (delta,), usage, extra)


def _text(delta: Mapping[str, Json], name: str) -> str:
    value = delta.get(name)
    if type(value) is not str:
        raise MalformedError("a string", f"delta.{name}")
    return value

"""Server-sent events, sans-io: feed bytes as they come, get whole events out.

After the WHATWG HTML standard, section 9.2: lines end with LF, CRLF or CR, `data` lines
of one event are joined with LF, comments and unknown fields are skipped, an event ends
with a blank line, and what stands after the last blank line is never an event. Bytes
stay bytes, for JSON readers check UTF-8 themselves.

The invariant: the events do not depend on how the bytes were cut. Time is linear in the
bytes fed, memory is bounded by `max_event_bytes` (and the one chunk fed).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sidecar.errors import UpstreamInvalidError

DONE = b"[DONE]"
"""The data of the event that ends an OpenAI stream; `DONE_EVENT` is the whole event."""

DONE_EVENT = b"data: [DONE]\n\n"
"""The last bytes of an OpenAI stream."""

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Room for one event: a tool call or an image in one piece, and no more."""

_BOM = b"\xef\xbb\xbf"
_NEWLINE = re.compile(rb"\r\n|\r|\n")
_NEWLINES = (b"\n", b"\r")


class SseEvent(NamedTuple):
    """One event. `event` is its type, None where the sender named none."""

    data: bytes
    event: str | None = None


class SseTooLargeError(UpstreamInvalidError):
    """A provider's event is larger than the decoder keeps. The decoder is of no use after it."""

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__(
            f"the provider sent an event of more than {max_event_bytes} bytes", reason="too_large"
        )


class SseDecoder:
    """Bytes in, events out. One per stream."""

    __slots__ = ("_after_cr", "_data", "_head", "_held", "_limit", "_name", "_partial")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._partial = bytearray()
        self._data: list[bytes] = []
        self._held = 0
        self._name: str | None = None
        self._after_cr = False
        self._head: bytes | None = b""

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes."""
        if self._head is not None:
            data = self._without_bom(data)
        if self._after_cr and data:
            # The CR ended a line; an LF right behind it, in another chunk, is the same end.
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()
        tail = b"" if data.endswith(_NEWLINES) else lines.pop()
        if lines and self._partial:
            lines[0] = bytes(self._partial + lines[0])
            self._partial.clear()
        events = self._read(lines)
        self._keep(tail)
        return events

    def _without_bom(self, data: bytes) -> bytes:
        """Hold back the first bytes until it is known whether they are a byte order mark."""
        head = (self._head or b"") + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head.removeprefix(_BOM)

    def _keep(self, tail: bytes) -> None:
        self._partial += tail
        self._bound(len(self._partial))

    def _bound(self, growing: int) -> None:
        if self._held + growing > self._limit:
            self._partial.clear()
            self._data.clear()
            raise SseTooLargeError(self._limit)

    def _read(self, lines: list[bytes]) -> list[SseEvent]:
        events: list[SseEvent] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(SseEvent(b"\n".join(self._data), self._name))
                self._data, self._held, self._name = [], 0, None
            else:
                self._field(line)
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._bound(len(line))
            self._held += len(line)
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._bound(len(line))
            self._name = value.removeprefix(b" ").decode("utf-8", "replace") or None


def encode(data: bytes, event: str | None = None) -> bytes:
    """One event as bytes. Lines inside `data` become `data` lines of their own."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_NEWLINE.split(data))
    if event is None:
        return b"data: %b\n\n" % data
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)

"""A stream of OpenAI Responses, passed on event by event.

Each event of the provider's is a chunk that carries it whole, beside what everybody needs
to know of it: whether a client would see something, the usage, how it ended. The writer
gives the events on under their own numbers and keeps the last one back, for what a head
could not tell stands beside the whole reply in it.

The invariant: a stream ends regularly only by an event that tells the whole response.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sidecar.domain import ChatRequest, Chunk, Delta, Json, Usage
from sidecar.errors import SidecarError
from sidecar.wire import sse
from sidecar.wire.body import MalformedError, dump, load_object
from sidecar.wire.responses_events import failure_of
from sidecar.wire.responses_native import failed, read_native_reply, unreadable
from sidecar.wire.responses_reply import State, identity, snapshot

_EVENT: Final = "response.event"
"""Under which name a chunk carries its event."""

_LAST: Final = ("response.completed", "response.incomplete", "response.failed")
_OPENINGS: Final = ("response.created", "response.queued", "response.in_progress", "keepalive")
_TEXT: Final = "response.output_text.delta"
_ADDED: Final = ".added"
_PROGRESS: Final = Delta(extra=MappingProxyType({"progress": True}))


class NativeReader:
    """Reads one stream. `begun` once the model is at work, `ended` behind its last event."""

    def __init__(self) -> None:
        self.begun = False
        self.ended = False
        self._head = ("", 0, "")

    def read(self, data: bytes) -> Chunk:
        """One event; raises `UpstreamError` and nothing else, for a told failure too."""
        try:
            return self._read(load_object(data))
        except MalformedError as error:
            raise unreadable(error) from None

    def _read(self, event: dict[str, Json]) -> Chunk:
        kind = event.get("type")
        if type(kind) is not str or not kind:
            raise MalformedError("a string", "type")
        if kind == "error":
            raise failed(event.get("error") or event, "error_in_stream")
        self.begun = self.begun or kind not in _OPENINGS
        carried = {_EVENT: event}
        if kind in _LAST:
            return self._read_last(event, carried)
        if type(response := event.get("response")) is dict and not self._head[0]:
            self._learn(response)
        return Chunk(*self._head, _deltas(kind, event), None, carried)

    def _read_last(self, event: dict[str, Json], carried: Mapping[str, Json]) -> Chunk:
        whole = read_native_reply(event.get("response"))
        self.ended = True
        delta = Delta(finish=whole.choices[0].finish, extra=_PROGRESS.extra)
        return Chunk(whole.id, whole.created, whole.model, (delta,), whole.usage, carried)

    def _learn(self, response: dict[str, Json]) -> None:
        id_, model = response.get("id"), response.get("model")
        self._head = (id_ if type(id_) is str else "", 0, model if type(model) is str else "")


class NativeWriter:
    """Writes one stream of which every chunk was read by a `NativeReader`."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._number = -1
        self._response: Mapping[str, Json] = {}
        self._last: Mapping[str, Json] | None = None

    def chunk(self, chunk: Chunk) -> bytes:
        """Its event, but for the last one."""
        event: Mapping[str, Json] = chunk.extra[_EVENT]
        if type(number := event.get("sequence_number")) is int:
            self._number = number
        if type(response := event.get("response")) is dict:
            self._response = response
        if event["type"] in _LAST:
            self._last = event
            return b""
        return _encode(event)

    def end(self, usage: Usage | None, told: Mapping[str, Json]) -> bytes:
        """The last event. What is `told` stands beside the whole reply."""
        return b"" if self._last is None else _encode({**self._last, "sidecar": told})

    def error(self, error: SidecarError) -> bytes:
        """The failure, in both its forms, of the response that the events so far were about."""
        begun = self._response or {
            **identity("", 0),
            **snapshot(self._request, State("failed", "")),
        }
        failure, events = failure_of(error)
        told = [("response.failed", {"response": {**begun, **failure}}), *events]
        return b"".join(self._numbered(name, fields) for name, fields in told)

    def _numbered(self, name: str, fields: Mapping[str, Json]) -> bytes:
        self._number += 1
        return _encode({"type": name, "sequence_number": self._number, **fields})


def _deltas(kind: str, event: Mapping[str, Json]) -> tuple[Delta, ...]:
    """What a client would see of it: nothing, while places are only being made."""
    if kind in _OPENINGS or kind.endswith(_ADDED):
        return ()
    text = event.get("delta") if kind == _TEXT else None
    return (Delta(text=text) if type(text) is str and text else _PROGRESS,)


def _encode(event: Mapping[str, Json]) -> bytes:
    return sse.encode(dump(event), event["type"])

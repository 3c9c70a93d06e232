"""What the web layer asks of a chat format: a client's bytes to the domain, and back.

Each format is one small class over a codec. Whatever a format can't say in another's
words is refused by name in the codec that would have to leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sidecar.domain import ChatRequest, Chunk, Completion, Endpoint, Json, Usage
from sidecar.errors import SidecarError


class EventWriter(Protocol):
    """Writes one stream. Each method gives the bytes to send, empty where there are none."""

    def chunk(self, chunk: Chunk) -> bytes:
        """What one chunk tells. Usage is told at the end and not here."""
        ...

    def end(self, usage: Usage | None, told: Mapping[str, Json]) -> bytes:
        """The regular end. `told` is what a head could not tell yet, where there is room for it."""
        ...

    def error(self, error: SidecarError) -> bytes:
        """The end of a stream that failed: a typed error, never a regular end."""
        ...


class Format(Protocol):
    """One chat format."""

    endpoint: Endpoint

    def parse(self, body: bytes) -> ChatRequest:
        """The request in `body`, or `InvalidRequestError` naming what is wrong."""
        ...

    def new_id(self, request_id: str) -> str:
        """The id of an answer that is given again, made from that of its request."""
        ...

    def head(self, answer_id: str, created: int) -> bytes:
        """The beginning of a whole reply: what differs each time an answer is given again."""
        ...

    def tail(self, completion: Completion, request: ChatRequest) -> bytes:
        """The rest of it, which is the same each time for the same request."""
        ...

    def writer(self, request: ChatRequest) -> EventWriter:
        """A writer for one stream."""
        ...

    def error(self, error: SidecarError) -> bytes:
        """The body of an error reply."""
        ...

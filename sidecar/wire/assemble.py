"""A stream into the answer that it tells; `replay` goes the other way.

Pieces of text, refusal and arguments add up by their index; of usage the last one
counts, for vendors send it cumulated; what no field names is joined by its type (see
`merge`). The invariant: `assemble(replay(answer)) == answer`.

An answer is not finished because a stream ended: `finish` is None where no end came,
and there are no choices where nothing came. Whoever keeps answers must look at both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sidecar.domain import (
    NOTHING,
    Choice,
    Chunk,
    Completion,
    Delta,
    Json,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from sidecar.errors import UpstreamInvalidError
from sidecar.wire.merge import joined, merged, text_bytes, weight_bytes
from sidecar.wire.replay import replay

__all__ = ["Assembler", "TooLargeError", "assemble", "replay"]

MAX_BYTES: Final = 32 * 1024 * 1024
"""Of one assembled answer."""

_PER_PIECE_BYTES: Final = 64
"""What a piece costs beside its text, so that a flood of empty ones is bounded too."""

_PADDING: Final = "obfuscation"
"""Noise that OpenAI adds to each event to hide its length; no part of the answer."""


class TooLargeError(UpstreamInvalidError):
    """A provider's answer is larger than is kept."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the answer is larger than {max_bytes} bytes", reason="too_large")


@dataclass(slots=True)
class _GrowingCall:
    id: str = ""
    name: str = ""
    kind: str = ""
    arguments: list[str] = field(default_factory=list)
    extras: list[Mapping[str, Json]] = field(default_factory=list)

    def add(self, piece: ToolCallDelta) -> None:
        self.id = self.id or piece.id or ""
        self.name = self.name or piece.name or ""
        self.kind = self.kind or piece.kind or ""
        self.arguments.append(piece.arguments)
        if piece.extra:
            self.extras.append(piece.extra)

    def whole(self) -> ToolCall:
        arguments = "".join(self.arguments)
        return ToolCall(self.id, self.name, arguments, self.kind or "function", merged(self.extras))


@dataclass(slots=True)
class _GrowingChoice:
    index: int
    finish: str | None = None
    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: dict[int, _GrowingCall] = field(default_factory=dict)
    logprobs: list[Json] = field(default_factory=list)
    extras: list[Mapping[str, Json]] = field(default_factory=list)

    def add(self, delta: Delta) -> None:
        if delta.text is not None:
            self.text.append(delta.text)
        if delta.refusal is not None:
            self.refusal.append(delta.refusal)
        if delta.finish is not None:
            self.finish = delta.finish
        if delta.logprobs is not None:
            self.logprobs.append(delta.logprobs)
        if delta.extra:
            self.extras.append(delta.extra)
        for piece in delta.tool_calls:
            self.calls.setdefault(piece.index, _GrowingCall()).add(piece)

    def whole(self) -> Choice:
        return Choice(
            self.index,
            "".join(self.text) if self.text else None,
            self.finish,
            tuple(self.calls[index].whole() for index in sorted(self.calls)),
            "".join(self.refusal) if self.refusal else None,
            joined(self.logprobs),
            merged(self.extras),
        )


class Assembler:
    """Takes the chunks of one stream. Feeding is linear; `completion` may be asked at any time."""

    __slots__ = ("_choices", "_extras", "_head", "_held", "_max_bytes", "usage")

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.usage: Usage | None = None
        self._max_bytes = max_bytes
        self._held = 0
        self._head = ("", 0, "")
        self._choices: dict[int, _GrowingChoice] = {}
        self._extras: dict[str, Json] = {}

    def feed(self, chunk: Chunk) -> None:
        """Add what an event tells. Raises `TooLargeError` once the answer is too large."""
        self._bound(chunk)
        if not all(self._head):
            # Azure opens with a chunk whose id and model are empty.
            id_, created, model = self._head
            self._head = (id_ or chunk.id, created or chunk.created, model or chunk.model)
        for delta in chunk.deltas:
            choice = self._choices.get(delta.index)
            if choice is None:
                choice = self._choices[delta.index] = _GrowingChoice(delta.index)
            choice.add(delta)
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.extra:
            self._keep(chunk.extra)

    def completion(self) -> Completion:
        """The answer so far."""
        choices = tuple(self._choices[index].whole() for index in sorted(self._choices))
        return Completion(*self._head, choices, self.usage, dict(self._extras) or NOTHING)

    def _keep(self, extra: Mapping[str, Json]) -> None:
        """Fields of the whole event are repeated from event to event: the last one counts."""
        for key, value in extra.items():
            if key != _PADDING and (value is not None or key not in self._extras):
                self._extras[key] = value

    def _bound(self, chunk: Chunk) -> None:
        self._held += _size(chunk)
        if self._held > self._max_bytes:
            raise TooLargeError(self._max_bytes)


def assemble(chunks: Iterable[Chunk]) -> Completion:
    """The answer that a whole stream tells."""
    assembler = Assembler()
    for chunk in chunks:
        assembler.feed(chunk)
    return assembler.completion()


def _size(chunk: Chunk) -> int:
    """Bytes that a chunk adds to what is kept, roughly and never too few."""
    size = 0
    for delta in chunk.deltas:
        size += _PER_PIECE_BYTES
        if delta.text:
            size += text_bytes(delta.text)
        if delta.refusal:
            size += text_bytes(delta.refusal)
        if delta.logprobs or delta.extra:
            size += weight_bytes(delta.logprobs) + weight_bytes(delta.extra)
        for piece in delta.tool_calls:
            size += _PER_PIECE_BYTES + text_bytes(piece.arguments) + weight_bytes(piece.extra)
    return size + weight_bytes(chunk.extra) if chunk.extra else size

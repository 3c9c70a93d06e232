"""The items of a streamed OpenAI Responses reply, as they grow.

Each gives the events that tell its growth, as type and fields; whoever writes the stream
numbers and encodes them. Every item stays open until the answer ends, for pieces of text
and of calls may come in any order. The invariant: the pieces of an item add up to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sidecar.domain import Json, ToolCall, ToolCallDelta
from sidecar.wire.responses_reply import call_item, message_item, refusal_part, text_part

Event: TypeAlias = tuple[str, dict[str, Json]]

IN_PROGRESS: Final = "in_progress"
ITEM_ADDED: Final = "response.output_item.added"
ITEM_DONE: Final = "response.output_item.done"
TEXT: Final = "output_text"
REFUSAL: Final = "refusal"
_ARGUMENTS: Final = ("response.function_call_arguments", "arguments")
_INPUT: Final = ("response.custom_tool_call_input", "input")


@dataclass(slots=True, eq=False)
class GrowingMessage:
    """What the assistant says; `place` is its index in the output.

    The two lists are the writer's, for what they hold may come before the text and after it.
    """

    item_id: str
    place: int
    annotations: Sequence[Json] = ()
    logprobs: Sequence[Json] = ()
    parts: dict[str, list[str]] = field(default_factory=dict)

    def opened(self) -> Event:
        """That there is one."""
        item = message_item(self.item_id, (), IN_PROGRESS)
        return ITEM_ADDED, {"output_index": self.place, "item": item}

    def say(self, kind: str, piece: str, logprobs: Sequence[Json]) -> Iterator[Event]:
        """A piece of its text or its refusal."""
        if kind not in self.parts:
            self.parts[kind] = []
            part = text_part("") if kind == TEXT else refusal_part("")
            yield "response.content_part.added", {**self._where(kind), "part": part}
        self.parts[kind].append(piece)
        # A refusal's tokens have no place in this format.
        told: dict[str, Json] = {"logprobs": logprobs} if kind == TEXT else {}
        yield f"response.{kind}.delta", {**self._where(kind), "delta": piece, **told}

    def closed(self, status: str) -> Iterator[Event]:
        """Its end, part by part."""
        content = [self._whole(kind) for kind in self.parts]
        for kind, part in zip(self.parts, content, strict=True):
            told = ("text", "logprobs") if kind == TEXT else ("refusal",)
            where = self._where(kind)
            yield f"response.{kind}.done", {**where, **{name: part[name] for name in told}}
            yield "response.content_part.done", {**where, "part": part}
        item = message_item(self.item_id, content, status)
        yield ITEM_DONE, {"output_index": self.place, "item": item}

    def _whole(self, kind: str) -> Json:
        whole = "".join(self.parts[kind])
        if kind == TEXT:
            return text_part(whole, self.annotations, self.logprobs)
        return refusal_part(whole)

    def _where(self, kind: str) -> dict[str, Json]:
        return {
            "item_id": self.item_id,
            "output_index": self.place,
            "content_index": list(self.parts).index(kind),
        }


@dataclass(slots=True, eq=False)
class GrowingCall:
    """A call of a tool; `spare_id` is for servers that give it none.

    It has no `place` before its name is known, which is told first.
    """

    item_id: str
    spare_id: str
    place: int | None = None
    call_id: str = ""
    name: str = ""
    kind: str = ""
    pieces: list[str] = field(default_factory=list)

    def learn(self, piece: ToolCallDelta) -> None:
        """What a piece tells; id, name and kind once."""
        self.call_id = self.call_id or piece.id or ""
        self.name = self.name or piece.name or ""
        self.kind = self.kind or piece.kind or ""
        if piece.arguments:
            self.pieces.append(piece.arguments)

    def opened(self, place: int) -> Iterator[Event]:
        """That there is one, and as much of it as is known."""
        self.place, self.call_id = place, self.call_id or self.spare_id
        yield ITEM_ADDED, {"output_index": place, "item": self._item("", IN_PROGRESS)}
        if self.pieces:
            yield self.grown("".join(self.pieces))

    def grown(self, piece: str) -> Event:
        """A piece of its arguments, or of its input."""
        return f"{self._words[0]}.delta", {**self._where(), "delta": piece}

    def closed(self, status: str) -> Iterator[Event]:
        """Its end."""
        event, text = self._words
        whole = "".join(self.pieces)
        yield f"{event}.done", {**self._where(), "name": self.name, text: whole}
        yield ITEM_DONE, {"output_index": self.place, "item": self._item(whole, status)}

    @property
    def _words(self) -> tuple[str, str]:
        return _INPUT if self.kind == "custom" else _ARGUMENTS

    def _item(self, text: str, status: str) -> Json:
        call = ToolCall(self.call_id, self.name, text, self.kind)
        return call_item(self.item_id, call, status)

    def _where(self) -> dict[str, Json]:
        return {"item_id": self.item_id, "output_index": self.place}

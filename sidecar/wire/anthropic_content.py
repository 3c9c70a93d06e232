"""The blocks of an Anthropic answer and the domain's choice: one as the other, in order.

A choice has all text, then all calls. That is the order of most answers; what else a
client of Anthropic's must get back is kept in `extra` under `PIECES`, a list in order:

    {"at": [characters, calls], "open": block}    a block begins behind so much of both
    {"at": [characters, calls], "add": delta}     something for the last block (a citation)
    {"add": delta}                                the same, with nothing in between

Text and calls are never in a piece, so nothing is kept twice. Pieces of a stream and those
of a whole answer join into the same blocks. Whatever else stands under that name (any
server may send it) is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import orjson

from sidecar.domain import Choice, Json, ToolCall
from sidecar.errors import UpstreamInvalidError
from sidecar.wire.body import MalformedError, load_arguments
from sidecar.wire.spoken import spoken

PIECES: Final = "anthropic_pieces"

Block = dict[str, Json]
Place = tuple[int, int]
"""How much text and how many calls came before."""


def pieces_of(extra: Mapping[str, Json]) -> list[Block]:
    """The pieces in an `extra`; what is none is passed over."""
    pieces = extra.get(PIECES)
    if type(pieces) is not list:
        return []
    return [piece for piece in pieces if type(piece) is dict and is_piece(piece)]


def is_piece(piece: Block) -> bool:
    """Whether it is one of the three forms."""
    what = piece.get("open") or piece.get("add")
    return isinstance(what, Mapping) and type(what.get("type")) is str and _is_place(piece)


def place_of(piece: Block) -> Place | None:
    """Where it belongs; None where it follows the piece before it."""
    at = piece.get("at")
    return None if at is None else (at[0], at[1])


def opens(block: Mapping[str, Json], *, after: str, calls: int) -> bool:
    """Whether a text block must be told apart: no plain one, or not in the domain's order."""
    beside = any(key not in ("type", "text") and block[key] is not None for key in block)
    return beside or after == "text" or calls > 0


def read_blocks(
    blocks: Iterable[Block], *, keep: bool
) -> tuple[str | None, list[ToolCall], list[Block]]:
    """Text, calls and pieces of a whole answer; no pieces where they need not be kept."""
    text: str | None = None
    calls: list[ToolCall] = []
    pieces: list[Block] = []
    last = ""
    for block in blocks:
        at = [len(text or ""), len(calls)]
        kind = block["type"]
        if kind == "text":
            if opens(block, after=last, calls=len(calls)):
                pieces.append({"at": at, "open": {k: v for k, v in block.items() if k != "text"}})
            text = (text or "") + block["text"]
        elif kind == "tool_use":
            calls.append(_call(block, keep=keep))
        else:
            pieces.append({"at": at, "open": block})
        last = kind
    return text, calls, pieces if keep else []


def write_blocks(choice: Choice, start: Place = (0, 0)) -> list[Block]:
    """The blocks that a choice tells. `start` is what had been told before its text and calls."""
    return _Layout(choice, start).blocks()


def write_call(call: ToolCall) -> Block:
    """A call as a block, its input read from the JSON that the model wrote."""
    extra = {key: value for key, value in call.extra.items() if key not in ("type", "input")}
    raw = {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call)}
    return {**extra, **raw}


def grow(block: Block, delta: Mapping[str, Json]) -> None:
    """Add a stream's delta to its block: a text continues the field of its name."""
    if delta.get("type") == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]
        return
    for name, more in delta.items():
        said = block.get(name)
        if name == "type" or more is None:
            continue
        if type(said) is not str:
            block[name] = more
        elif type(more) is str:
            block[name] = said + more


class _Layout:
    """Lays text, calls and pieces out as blocks."""

    def __init__(self, choice: Choice, start: Place) -> None:
        self._text = spoken(choice.text, choice.extra) + (choice.refusal or "")
        self._calls = choice.tool_calls
        self._pieces = pieces_of(choice.extra)
        self._start_chars, self._start_calls = start
        self._chars = self._called = 0
        self._blocks: list[Block] = []
        self._in_text = False
        self._inputs: dict[int, list[str]] = {}

    def blocks(self) -> list[Block]:
        for piece in self._pieces:
            if at := place_of(piece):
                self._until(at[0] - self._start_chars, at[1] - self._start_calls)
            if opened := piece.get("open"):
                self._open(dict(opened))
            elif self._blocks:
                self._add(piece["add"])
        self._until(len(self._text), len(self._calls))
        for index, partial in self._inputs.items():
            if said := "".join(partial):
                self._blocks[index]["input"] = _read_input(said)
        return self._blocks

    def _add(self, delta: Mapping[str, Json]) -> None:
        """To the last block; what one of Anthropic's own tools is called with is JSON in pieces."""
        partial = delta.get("partial_json")
        if type(partial) is str and self._blocks[-1]["type"] != "text":
            self._inputs.setdefault(len(self._blocks) - 1, []).append(partial)
        else:
            grow(self._blocks[-1], delta)

    def _open(self, block: Block) -> None:
        self._in_text = block["type"] == "text"
        if self._in_text:
            block["text"] = ""
        self._blocks.append(block)

    def _until(self, chars: int, calls: int) -> None:
        """Text up to there, then calls up to there."""
        if chars > self._chars and (said := self._text[self._chars : chars]):
            if not self._in_text:
                self._open({"type": "text"})
            self._blocks[-1]["text"] += said
            self._chars = chars
        for call in self._calls[self._called : calls]:
            self._blocks.append(write_call(call))
            self._in_text = False
        self._called = max(calls, self._called)


def _is_place(piece: Block) -> bool:
    at = piece.get("at")
    if at is None:
        return "open" not in piece
    return type(at) is list and len(at) == 2 and all(type(n) is int and n >= 0 for n in at)


def _call(block: Block, *, keep: bool) -> ToolCall:
    known = ("type", "id", "name", "input")
    extra = {k: v for k, v in block.items() if k not in known and v is not None} if keep else {}
    arguments = orjson.dumps(block["input"]).decode()
    return ToolCall(block["id"], block["name"], arguments, extra=extra)


def _input(call: ToolCall) -> Json:
    return _read_input(call.arguments)


def _read_input(arguments: str) -> Json:
    try:
        return load_arguments(arguments)
    except MalformedError:
        raise UpstreamInvalidError(
            "the model called a tool with arguments that are no JSON object",
            reason="invalid_arguments",
        ) from None

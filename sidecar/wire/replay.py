"""A stored answer as a stream that tells it: what `assemble` undoes.

The order is a provider's: the role, fields that no type names (reasoning comes before
its answer), text in pieces, refusal, tool calls, the end of each choice, usage last.
Text is cut behind spaces, so that an interface flows, and into few pieces, for they are
all written at once: finer ones would cost time and show nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sidecar.domain import NOTHING, Choice, Chunk, Completion, Delta, Json, ToolCall, ToolCallDelta
from sidecar.wire.merge import CHOICE_LEVEL

MAX_PIECES: Final = 32
MIN_PIECE_CHARS: Final = 48
_MAX_REPEATED_CHARS: Final = 128


def replay(completion: Completion) -> Iterator[Chunk]:
    """The chunks of a whole answer."""
    head = completion.id, completion.created, completion.model
    repeated = {key: value for key, value in completion.extra.items() if _is_small(value)}
    extra = completion.extra
    for choice in completion.choices:
        for delta in _deltas(choice):
            yield Chunk(*head, (delta,), None, extra)
            extra = repeated or NOTHING
    if completion.usage is not None:
        yield Chunk(*head, (), completion.usage, extra)


def _deltas(choice: Choice) -> Iterator[Delta]:
    index = choice.index
    inner = {key: value for key, value in choice.extra.items() if not _is_outer(key)}
    outer = {key: value for key, value in choice.extra.items() if _is_outer(key)}
    yield Delta(index, role="assistant", text=None if choice.text is None else "")
    if inner:
        yield Delta(index, extra=inner)
    for piece in pieces(choice.text or ""):
        yield Delta(index, text=piece)
    if choice.refusal is not None:
        for piece in pieces(choice.refusal) or [""]:
            yield Delta(index, refusal=piece)
    for place, call in enumerate(choice.tool_calls):
        for part in _parts(place, call):
            yield Delta(index, tool_calls=(part,))
    yield Delta(index, finish=choice.finish, logprobs=choice.logprobs, extra=outer or NOTHING)


def _parts(place: int, call: ToolCall) -> Iterator[ToolCallDelta]:
    yield ToolCallDelta(place, call.id, call.name, "", call.kind, call.extra)
    if call.arguments:
        # A custom call's text stands in a field of its own kind, which only the kind tells.
        kind = None if call.kind == "function" else call.kind
        yield ToolCallDelta(place, arguments=call.arguments, kind=kind)


def pieces(text: str) -> list[str]:
    """`text` in at most about 2 × MAX_PIECES pieces, each ending with a space where it can."""
    size = max(MIN_PIECE_CHARS, -(-len(text) // MAX_PIECES))
    cut: list[str] = []
    start = 0
    while start < len(text):
        end = start + size
        if end < len(text):
            # A short piece is followed by one that has no space to be cut at before it is
            # full, so two in a row hold at least `size`.
            end = text.rfind(" ", start, end) + 1 or end
        cut.append(text[start:end])
        start = end
    return cut


def _is_outer(key: str) -> bool:
    return key.startswith(CHOICE_LEVEL)


def _is_small(value: Json) -> bool:
    """Whether a field is repeated in every event, as a fingerprint is, or told once."""
    return not isinstance(value, (list, dict)) and len(str(value)) <= _MAX_REPEATED_CHARS

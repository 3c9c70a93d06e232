"""A stored answer as a stream: in a provider's order, in few pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Choice, Completion, Delta, ToolCall, Usage
from sidecar.wire.replay import MAX_PIECES, pieces, replay


def answer(*choices: Choice, **fields) -> Completion:
    """An answer of these choices."""
    return Completion("x", 1, "m", choices, **fields)


def deltas(choice: Choice) -> list[Delta]:
    """The deltas that a choice is replayed in."""
    return [delta for chunk in replay(answer(choice)) for delta in chunk.deltas]


def test_order():
    """Role, reasoning, text, refusal, calls, the end."""
    choice = Choice(
        0, "Hi", "stop", (ToolCall("c", "f", "{}"),), "no", extra={"reasoning_content": "hm"}
    )
    told = [
        "role" if d.role else "text" if d.text else "refusal" if d.refusal
        else "call" if d.tool_calls else "end" if d.finish else "extra"
        for d in deltas(choice)
    ]  # fmt: skip
    assert told == ["role", "extra", "text", "refusal", "call", "call", "end"]


def test_opening():
    """The first event has the role and an empty text, or none where there is no text."""
    assert deltas(Choice(0, "Hi", "stop"))[0] == Delta(0, role="assistant", text="")
    assert deltas(Choice(0, None, "stop"))[0] == Delta(0, role="assistant")


def test_each_choice_ends_once():
    """Each choice has one event with its finish, its last."""
    told = list(replay(answer(Choice(0, "a", "stop"), Choice(1, "b", "length"))))
    ends = [(d.index, d.finish) for chunk in told for d in chunk.deltas if d.finish]
    assert ends == [(0, "stop"), (1, "length")]


def test_usage_comes_last_and_alone():
    """Usage has an event of its own, without deltas, behind everything else."""
    *rest, last = replay(answer(Choice(0, "a", "stop"), usage=Usage(1, 2)))
    assert (last.deltas, last.usage) == ((), Usage(1, 2))
    assert all(chunk.usage is None and chunk.deltas for chunk in rest)


def test_calls_are_named_once():
    """Id, name and type stand in a call's first piece alone."""
    choice = Choice(0, None, "tool_calls", (ToolCall("a", "f", "{}"), ToolCall("b", "g", "[]")))
    told = [piece for delta in deltas(choice) for piece in delta.tool_calls]
    assert [(piece.index, piece.id, piece.name, piece.kind) for piece in told] == [
        (0, "a", "f", "function"),
        (0, None, None, None),
        (1, "b", "g", "function"),
        (1, None, None, None),
    ]


def test_large_fields_are_told_once():
    """A fingerprint is repeated in every event, a list of citations is not."""
    extra = {"system_fingerprint": "fp", "citations": ["x" * 1000], "long": "x" * 1000}
    first, *rest = replay(answer(Choice(0, "a", "stop"), extra=extra))
    assert first.extra == extra
    assert {tuple(chunk.extra) for chunk in rest} == {("system_fingerprint",)}


def test_cut_at_spaces():
    """Text is cut behind spaces, so that words stay whole."""
    text = "The quick brown fox jumps over the lazy dog. " * 20
    assert all(piece.endswith(" ") for piece in pieces(text))
    assert len(pieces(text)) > 5


@pytest.mark.parametrize("unit", ["x", "x ", " ", "x" * 50 + " ", "é 🇫🇷"])
@pytest.mark.parametrize("length", [0, 1, 47, 48, 49, 5_000, 200_000])
def test_bounded(unit, length):
    """However long a text is and however it is spaced, its pieces are few, and are the text."""
    text = (unit * (length // len(unit) + 1))[:length]
    assert "".join(pieces(text)) == text
    assert len(pieces(text)) <= 2 * MAX_PIECES + 2


@given(st.text(st.sampled_from("ab  \n"), max_size=2000))
def test_pieces_are_the_text(text):
    """No piece is empty and together they are the text."""
    found = pieces(text)
    assert "".join(found) == text
    assert all(found)

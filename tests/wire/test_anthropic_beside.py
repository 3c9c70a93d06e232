"""What Anthropic tells beside an answer stands in a stream where SDKs look for it."""

from __future__ import annotations

import orjson
import pytest

from sidecar.domain import Choice, Chunk, Completion, Delta
from sidecar.wire.anthropic_content import PIECES
from sidecar.wire.anthropic_reply import parse_message
from sidecar.wire.assemble import assemble, replay

from .answers import TEXT, events, message, read, whole, written

CONTAINER = {"id": "c1", "expires_at": "2026-01-01T00:00:00Z"}
REFUSED = {"type": "refusal", "category": "cyber", "explanation": "No."}
EDITS = {"applied_edits": []}
DIAGNOSED = {"cache_miss_reason": None}
START = {"container": CONTAINER, "diagnostics": DIAGNOSED}
LAST = {"container": CONTAINER, "stop_details": REFUSED}
FULL = message(TEXT, **LAST, diagnostics=DIAGNOSED, context_management=EDITS, stop_reason="refusal")
COMPACTED = {"type": "compaction", "content": None}
SUMMED_UP = {"type": "compaction", "content": "They spoke.", "encrypted_content": "eA=="}


def live() -> list[dict]:
    """The events of such an answer as Anthropic sends them."""
    told = list(events(message(TEXT, stop_reason="refusal")))
    told[0]["message"] |= START
    told[-2]["delta"] |= LAST
    told[-2]["context_management"] = EDITS
    return told


@pytest.mark.parametrize("stored", [False, True], ids=["live", "stored"])
def test_each_field_of_a_stream_has_its_event(stored):
    """What is known first stands in the first event, why it stopped in the last."""
    chunks = read(live())
    told = written(replay(assemble(chunks)) if stored else chunks)
    first, last = told[0]["message"], told[-2]
    assert first["diagnostics"] == DIAGNOSED
    assert last["delta"] == {**LAST, "stop_reason": "refusal", "stop_sequence": None}
    assert last["context_management"] == EDITS
    assert "stop_details" not in first


def test_a_stream_of_a_whole_answer_tells_the_same():
    """Where the answer was stored from a whole reply."""
    told = written(replay(parse_message(orjson.dumps(FULL))))
    assert told[0]["message"]["diagnostics"] == DIAGNOSED
    assert told[-2]["delta"].items() >= LAST.items()


def test_what_is_news_at_the_end_is_told_there():
    """A field of the start that changes, or one that comes late."""
    told = live()
    told[0]["message"]["x"] = 1
    told[-2]["delta"] |= {"x": 2, "y": 3}
    again = written(read(told))
    assert again[0]["message"]["x"] == 1
    assert again[-2]["delta"].items() >= {"x": 2, "y": 3}.items()


def test_a_whole_answer_of_a_stream_has_all_of_it():
    """So that it is the same answer, whichever way it is asked for again."""
    assert whole(assemble(read(live()))) == FULL


def test_fields_that_are_known_are_not_displaced():
    """Whatever a server puts beside its message, the head of ours is ours."""
    told = live()
    told[0]["message"] |= {"content": [], "stop_reason": None}
    assert written(read(told))[0]["message"]["type"] == "message"
    extra = {"anthropic_reply": {"content": 5, "id": "x", "type": "y", "role": 1}}
    chunk = Chunk("c1", 9, "m", (Delta(text="a"),), None, extra)
    first = written([chunk])[0]["message"]
    assert (first["id"], first["type"], first["role"]) == ("c1", "message", "assistant")
    assert first["content"] == []


@pytest.mark.parametrize(
    "pieces", [[dict(SUMMED_UP)], [{"content": "They "}, {"content": "spoke."}]]
)
def test_deltas_of_any_kind_are_part_of_their_block(pieces):
    """A block that comes in pieces of a kind unknown here is not kept half."""
    told = [event for event in events(message()) if event["type"] != "ping"]
    deltas = [{"encrypted_content": "eA=="}, *pieces]
    if "encrypted_content" in pieces[0]:
        deltas = pieces
    block = [
        {"type": "content_block_start", "index": 0, "content_block": COMPACTED},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {**delta, "type": "compaction_delta"},
            }
            for delta in deltas
        ),
        {"type": "content_block_stop", "index": 0},
    ]
    chunks = read([told[0], *block, *told[1:]])
    assert whole(assemble(chunks))["content"] == [SUMMED_UP]


def test_a_delta_of_another_type_than_its_field_is_passed_over():
    """A text stays a text, whatever a server adds to it."""
    pieces = [{"add": {"type": "x", "text": 5, "citations": None}}]
    opened = [{"at": [0, 0], "open": {"type": "text"}}]
    choice = Choice(text="ab", finish="stop", extra={PIECES: [*opened, *pieces]})
    answer = Completion("c", 9, "m", (choice,))
    assert whole(answer)["content"] == [{"type": "text", "text": "ab"}]


@pytest.mark.parametrize("more", [2, "a", {"b": 1}, [1]])
def test_a_field_that_is_no_text_is_told_anew(more):
    """Of what can't be continued the last counts."""
    opened = {"at": [0, 0], "open": {"type": "new_kind", "x": 1}}
    pieces = [opened, {"add": {"type": "new_delta", "x": more}}]
    answer = Completion("c", 9, "m", (Choice(text="ab", finish="stop", extra={PIECES: pieces}),))
    assert whole(answer)["content"][0] == {"type": "new_kind", "x": more}

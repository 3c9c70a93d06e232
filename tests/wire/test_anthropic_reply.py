"""Anthropic's whole answers: read from a provider, written for a client."""

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Choice, Completion, ToolCall, Usage
from sidecar.errors import UpstreamError, UpstreamInvalidError
from sidecar.wire.anthropic_content import PIECES
from sidecar.wire.anthropic_reply import BESIDE, parse_count, parse_message
from sidecar.wire.assemble import replay
from sidecar.wire.openai_reply import build_completion

from .answers import (
    CITED,
    FOUND,
    HIDDEN,
    SEARCH,
    TEXT,
    THOUGHT,
    USE,
    answers,
    message,
    whole,
    written,
)
from .test_openai_arbitrary import json


def parse(*blocks: dict, keep: bool = True, **fields: object) -> Completion:
    """An answer of these blocks, read."""
    return parse_message(orjson.dumps(message(*blocks, **fields)), created=9, keep=keep)


def test_a_plain_answer():
    """Text, its end, and all the tokens that were read."""
    answer = parse(TEXT)
    assert (answer.id, answer.created, answer.model) == ("msg_1", 9, "claude-x")
    assert answer.choices == (Choice(text="Let me see.", finish="stop"),)
    assert answer.usage == Usage(35, 7, 20, 0, 5)


def test_text_and_calls():
    """Calls are the domain's, their input as JSON text."""
    (choice,) = parse(TEXT, USE, stop_reason="tool_use").choices
    call = ToolCall("toolu_1", "get_weather", '{"city":"Bonn"}')
    assert choice == Choice(text="Let me see.", finish="tool_calls", tool_calls=(call,))


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        ("new_reason", "new_reason"),
        (None, None),
    ],
)
def test_reasons_of_the_end(reason, finish):
    """Each has the domain's word or its own, and a client of Anthropic's reads its own again."""
    answer = parse(TEXT, stop_reason=reason)
    assert answer.choices[0].finish == finish
    assert whole(answer)["stop_reason"] == reason


@pytest.mark.parametrize("finish", ["error", "abort", "insufficient_system_resource"])
def test_an_end_in_another_vendors_word_is_no_regular_one(finish):
    """What is no word of Anthropic's either stays as it is."""
    told = whole(Completion("c", 9, "gpt", (Choice(text="a", finish=finish),)))
    assert told["stop_reason"] == finish


@given(answers)
def test_a_client_of_anthropics_gets_the_answer_back(raw):
    """Every block in its place, the exact end, every count."""
    answer = parse_message(orjson.dumps(raw))
    told = whole(answer)
    assert {**told, "content": _plain(told["content"])} == {
        **raw,
        "content": _plain(raw["content"]),
    }


def _plain(blocks: list) -> list:
    """Empty citations and none are the same."""
    return [{k: v for k, v in block.items() if (k, v) != ("citations", [])} for block in blocks]


def test_an_answer_that_the_domain_can_tell_holds_nothing_more():
    """So that it costs the cache nothing."""
    answer = parse({**TEXT, "citations": None}, USE, stop_reason="tool_use")
    assert not answer.choices[0].extra
    assert answer.extra.keys() == {BESIDE}


def test_other_clients_get_what_they_have_words_for():
    """No thought, no citation, no count that only Anthropic knows reaches OpenAI's clients."""
    answer = parse(THOUGHT, CITED, SEARCH, FOUND, HIDDEN, USE, keep=False, stop_sequence="x")
    assert (answer.choices[0].text, len(answer.choices[0].tool_calls)) == (CITED["text"], 1)
    assert (answer.extra, answer.choices[0].extra) == ({}, {})
    read = orjson.loads(build_completion(answer))
    assert read["choices"][0]["message"].keys() == {"role", "content", "refusal", "tool_calls"}


def test_another_providers_answer():
    """Text, calls and refusals have their blocks; a call behind `stop` is a call."""
    call = ToolCall("call_1", "f", "")
    choice = Choice(text="Hi", finish="stop", tool_calls=(call,), extra={"reasoning_content": "x"})
    told = whole(Completion("chatcmpl-1", 9, "gpt", (choice,), Usage(100, 5, 60)))
    assert told["content"] == [
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {}},
    ]
    assert (told["stop_reason"], told["usage"]["input_tokens"]) == ("tool_use", 40)
    refused = Choice(refusal="I won't", finish="stop")
    told = whole(Completion("c", 9, "gpt", (refused,)))
    assert (told["stop_reason"], told["content"][0]["text"]) == ("refusal", "I won't")


PARTS = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi"}, {"type": "text"}, 5]


def test_text_that_came_in_parts_is_told():
    """Whole and as a stream: an answer must not look empty for the form it came in."""
    choice = Choice(finish="stop", extra={"content": PARTS})
    answer = Completion("c", 9, "magistral", (choice,))
    assert whole(answer)["content"] == [{"type": "text", "text": "Hi"}]
    told = [event["delta"].get("text") for event in written(replay(answer)) if "delta" in event]
    assert "Hi" in told


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", '"x"'])
def test_arguments_that_are_no_object_are_no_answer(arguments):
    """Anthropic's clients are promised an object; what the model wrote is not made up."""
    choice = Choice(finish="tool_calls", tool_calls=(ToolCall("a", "f", arguments),))
    with pytest.raises(UpstreamInvalidError) as raised:
        whole(Completion("c", 9, "gpt", (choice,)))
    assert raised.value.reason == "invalid_arguments"


@pytest.mark.parametrize(
    "pieces",
    [5, [5], [{}], [{"at": [0], "open": {"type": "a"}}], [{"at": [0, -1], "open": {"type": "a"}}],
     [{"at": [0, 0], "open": {}}], [{"open": {"type": "a"}}], [{"add": 5}],
     [{"at": ["0", 0], "add": {"type": "citations_delta"}}]],
)  # fmt: skip
def test_what_only_looks_like_a_piece_is_passed_over(pieces):
    """Any server may send a field of that name."""
    choice = Choice(text="Hi", finish="stop", extra={PIECES: pieces})
    told = whole(Completion("c", 9, "gpt", (choice,), extra={BESIDE: pieces}))
    assert told["content"] == [{"type": "text", "text": "Hi"}]


@given(st.dictionaries(st.sampled_from(["at", "open", "add"]), json | st.lists(st.integers(0, 3))))
def test_any_piece_can_be_laid_out(piece):
    """Whatever it holds, the text is told once."""
    choice = Choice(text="Hi", finish="stop", extra={PIECES: [piece, piece]})
    told = whole(Completion("c", 9, "gpt", (choice,)))["content"]
    texts = [block.get("text", "") for block in told if block["type"] == "text"]
    assert "".join(text for text in texts if type(text) is str) == "Hi"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "invalid_body"),
        (b"[]", "invalid_body"),
        (b"{}", "invalid_body"),
        (orjson.dumps(message("x")), "invalid_body"),
        (orjson.dumps(message({"type": "text"})), "invalid_body"),
        (orjson.dumps(message({**USE, "input": "{}"})), "invalid_body"),
        (orjson.dumps(message({**USE, "name": 5})), "invalid_body"),
        (orjson.dumps(message(TEXT, stop_reason=5)), "invalid_body"),
        (b'{"type":"error","error":{"type":"api_error","message":"s3cret"}}', "error_in_body"),
        (b'{"type":"error","error":{"type":"overloaded_error"}}', "overloaded"),
        (b'{"type":"error","error":{"type":"rate_limit_error"}}', "rate_limited"),
        (b'{"type":"error","error":{"type":"billing_error"}}', "insufficient_quota"),
        (b'{"type":"error","error":"s3cret!"}', "error_in_body"),
    ],
)
def test_what_is_no_answer(raw, reason):
    """Is the provider's fault, by one word, and nothing of it is quoted."""
    with pytest.raises(UpstreamError) as raised:
        parse_message(raw)
    assert raised.value.reason == reason
    assert "s3cret" not in str(raised.value)


@given(st.dictionaries(st.sampled_from([*message(TEXT), "error", "x"]), json | st.lists(json)))
def test_whatever_comes_is_an_answer_or_the_providers_fault(raw):
    """And what is an answer can be written again."""
    with suppress(UpstreamError):
        whole(parse_message(orjson.dumps(raw)))


def test_a_count():
    """A number, or the provider's fault."""
    assert parse_count(b'{"input_tokens": 12}') == 12


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"input_tokens": -1}', b'{"input_tokens": "1"}'])
def test_no_count(raw):
    """Never a guess."""
    with pytest.raises(UpstreamInvalidError):
        parse_count(raw)

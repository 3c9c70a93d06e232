"""Requests in their own words are bounded by their whole body, or by the window."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.context.bounds import (
    embedding_bound,
    exact_bound,
    input_bound,
    json_bytes,
    output_bound,
    text_bytes,
    with_cap,
)
from sidecar.context.native_bounds import why_uncountable_natively, why_unpriced_natively
from sidecar.domain import ChatRequest
from sidecar.errors import InvalidRequestError
from sidecar.native import NativeRequest
from sidecar.wire.responses_native import build_native_request

WINDOW = 1_000_000
IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png"}


def native(**body: Any) -> NativeRequest:
    """A request of this body."""
    return NativeRequest("gpt-4o", (), body=body)


def said(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    """A user's turn."""
    return [{"role": "user", "content": list(parts)}]


@given(st.text(max_size=200), st.text(max_size=50))
def test_all_that_is_said_is_within(text: str, instructions: str) -> None:
    """A token is at least a byte of the text, wherever in the body it stands."""
    body = {"input": said({"type": "input_text", "text": text}), "instructions": instructions}
    assert input_bound(native(**body), window=None) > text_bytes(text) + text_bytes(instructions)


def test_tools_and_turns_add_what_stands_around_them() -> None:
    """Marks, and a vendor's hidden lines."""
    one, tool = said({"type": "input_text", "text": "hi"}), {"type": "function", "name": "f"}
    bare = input_bound(native(input=one), window=None)
    raw = json_bytes(orjson.dumps({"input": one}))
    assert bare >= raw + 256
    two = input_bound(native(input=one * 2), window=None)
    assert two >= bare + 32
    assert input_bound(native(input=one, tools=[tool]), window=None) >= bare + 1024


@pytest.mark.parametrize(
    "body",
    [
        {"input": "hi"},
        {"input": said({"type": "input_text", "text": "hi"})},
        {"input": [{"type": "message", "role": "user", "content": "hi"}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "4"}]},
        {"input": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}]}]},
        {"input": [{"type": "reasoning", "summary": [], "encrypted_content": None}]},
        {"input": "hi", "previous_response_id": None},
    ],
)
def test_what_stands_in_the_body_needs_no_window(body: dict[str, Any]) -> None:
    """Nor is the window taken where there is one."""
    assert why_uncountable_natively(native(**body)) is None
    assert input_bound(native(**body), window=WINDOW) < 2_000


@pytest.mark.parametrize(
    "body",
    [
        {"previous_response_id": "resp_1", "input": "hi"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}, "input": "hi"},
        {"input": [{"id": "msg_1"}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}]},
        {"input": said(IMAGE)},
        {"input": said({"type": "input_file", "file_id": "file_1"})},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [IMAGE]}]},
        {"input": [{"type": "computer_call_output", "output": IMAGE}]},
        {"input": ["hi"]},
    ],
)
def test_what_only_the_provider_has_takes_the_window(body: dict[str, Any]) -> None:
    """Where that is not known either it is refused."""
    assert input_bound(native(**body), window=WINDOW) == WINDOW
    with pytest.raises(InvalidRequestError, match="max_input_tokens"):
        input_bound(native(**body), window=None, model="gpt-4o")


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function"}, {"type": "mcp"}]},
        {"prompt": {"id": "pmpt_1"}},
        {"service_tier": "priority"},
        {"context_management": [{"type": "compaction", "compact_threshold": 1000}]},
        {"modalities": ["audio"]},
    ],
)
def test_what_is_billed_beside_tokens_is_refused(body: dict[str, Any]) -> None:
    """By its name, for no number of tokens bounds it."""
    with pytest.raises(InvalidRequestError, match=next(iter(body))):
        input_bound(native(input="hi", **body), window=WINDOW)


@pytest.mark.parametrize(
    "body", [{}, {"service_tier": "auto"}, {"tools": []}, {"tools": [{"type": "custom"}]}]
)
def test_the_usual_is_priced(body: dict[str, Any]) -> None:
    """What a client runs costs tokens alone."""
    assert why_unpriced_natively(native(input="hi", **body)) is None


def test_its_cap_is_its_own_or_ours() -> None:
    """In the word of its format, which is sent."""
    capped = with_cap(native(input="hi"), 40, "o3")
    assert orjson.loads(build_native_request(capped, "o3"))["max_output_tokens"] == 40
    assert output_bound(capped, 40) == 40
    own = native(input="hi", max_output_tokens=7)
    assert with_cap(own, 40, "o3") is own
    assert output_bound(own, 40) == 7


def test_its_tokens_are_not_counted_any_nearer() -> None:
    """How a body in its own words is read nobody tells."""
    assert exact_bound(native(input="hi"), "gpt-4o") is None


@pytest.mark.parametrize("name", ["n_predict", "max_new_tokens", "num_predict"])
def test_a_server_s_own_word_for_a_cap_counts(name: str) -> None:
    """It may be preferred to OpenAI's; one without an end is refused."""
    ours = ChatRequest("m", (), parameters={"max_tokens": 10}, unknown={name: 500})
    assert output_bound(ours, 40) == 500
    endless = ChatRequest("m", (), parameters={"max_tokens": 10}, unknown={name: -1})
    with pytest.raises(InvalidRequestError, match=name):
        output_bound(endless, 40)


@pytest.mark.parametrize("name", ["fallbacks", "provider", "preset", "models"])
def test_who_answers_is_not_for_the_caller_to_say(name: str) -> None:
    """A gateway behind us would take a dearer one."""
    with pytest.raises(InvalidRequestError, match=name):
        input_bound(ChatRequest("m", (), unknown={name: ["dearer"]}), window=None)
    assert input_bound(ChatRequest("m", (), unknown={name: []}), window=None)


def test_an_instruction_is_read_before_every_text() -> None:
    """Some servers of embeddings take one beside the texts."""
    assert embedding_bound(["a", "b"], {"instruction": "x" * 100}) >= 200

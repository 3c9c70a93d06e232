"""Whatever is asked: no count of its tokens, by whom ever, is above the bound."""

from __future__ import annotations

import json
from unicodedata import normalize

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.context.bounds import (
    embedding_bound,
    exact_bound,
    input_bound,
    json_bytes,
    text_bytes,
)
from sidecar.context.requests import count_request
from sidecar.context.tokens import count
from sidecar.domain import ChatRequest, Json, Message, Role, Text, ToolCall
from sidecar.providers.simulated.engine import count_prompt_tokens
from sidecar.wire.openai_request import build_chat_request

MARKS = 'ﷺ \u0958 가 e\u0301 😀 a\u0300\u0301 \x00 \u200b " \\ <|endoftext|> ЖЖЖ 好 !?., İ ß {}[],:'
ODD = st.sampled_from([*MARKS.split(), "\n \t", "1 2 3", "    ", "\u2028", " "])
TEXTS = st.lists(ODD | st.text(max_size=8), max_size=8).map("".join)
SCALARS = st.none() | st.booleans() | st.integers(-999, 999) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3), max_leaves=8
)
CALLS = st.builds(ToolCall, TEXTS, TEXTS, TEXTS | VALUES.map(json.dumps))
MESSAGES = st.builds(
    Message,
    st.sampled_from([Role.SYSTEM, Role.USER, Role.ASSISTANT]),
    st.lists(TEXTS.map(Text), min_size=1, max_size=3).map(tuple),
    st.lists(CALLS, max_size=2).map(tuple),
    st.none(),
    st.none() | TEXTS,
    st.none() | TEXTS,
)


def tool(name: str, description: str, schema: Json) -> Json:
    """A tool as OpenAI has it."""
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


SCHEMAS = st.dictionaries(
    TEXTS, st.fixed_dictionaries({"type": st.just("string"), "description": TEXTS}), max_size=3
).map(lambda properties: {"type": "object", "properties": properties})
REQUESTS = st.builds(
    ChatRequest,
    st.just("gpt-4o"),
    st.lists(MESSAGES, min_size=1, max_size=6).map(tuple),
    st.lists(st.builds(tool, TEXTS, TEXTS, SCHEMAS), max_size=3).map(tuple),
    st.fixed_dictionaries({}, optional={"response_format": st.builds(lambda s: {"x": s}, SCHEMAS)}),
)


@settings(max_examples=40)
@given(REQUESTS)
def test_what_the_simulated_provider_bills_is_within(request) -> None:
    """The oracle's own count of what it was sent never passes the bound."""
    sent = orjson.loads(build_chat_request(request, "gpt-4o"))
    assert count_prompt_tokens(sent) <= input_bound(request, window=None, model="gpt-4o")


@settings(max_examples=40)
@given(REQUESTS, st.sampled_from(["gpt-4o", "gpt-4"]))
def test_the_bounds_hold_and_one_is_nearer(request, model) -> None:
    """The published reckoning ≤ the exact bound ≤ the bound by bytes."""
    exact = exact_bound(request, model)
    encoding = "o200k_base" if model == "gpt-4o" else "cl100k_base"
    assert exact is not None
    assert count_request(request, lambda text: count(text, encoding)) <= exact
    assert exact <= input_bound(request, window=None, model=model)


@given(TEXTS, st.sampled_from(["o200k_base", "cl100k_base"]))
def test_a_text_has_no_more_tokens_than_bytes(text, encoding) -> None:
    """In whichever form a tokenizer reads it."""
    for read in (text, normalize("NFC", text), normalize("NFKC", text)):
        assert count(read, encoding) <= len(read.encode()) <= text_bytes(text)


@given(VALUES, st.sampled_from(["o200k_base", "cl100k_base"]))
def test_json_is_bounded_however_it_is_written(value, encoding) -> None:
    """With spaces, with escapes for all that is not ASCII, over many lines."""
    bound = json_bytes(orjson.dumps(value))
    assert len(json.dumps(value)) <= bound
    assert len(json.dumps(value, ensure_ascii=False).encode()) <= bound
    assert len(normalize("NFKC", json.dumps(value, ensure_ascii=False)).encode()) <= bound
    assert count(json.dumps(value, indent=2), encoding) <= bound + 1


@given(st.lists(TEXTS | st.lists(st.integers(0, 10**5), min_size=1, max_size=20), max_size=5))
def test_embeddings_are_bounded(items) -> None:
    """Texts by their bytes, token numbers by their count, whichever way they are counted."""
    counted = sum(
        count(item, "cl100k_base") if isinstance(item, str) else len(item) for item in items
    )
    words = sum(len(item.split()) for item in items if isinstance(item, str))
    assert max(counted, words) <= embedding_bound(items)

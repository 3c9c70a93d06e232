"""Requests of Anthropic's Messages that several tests ask with, and any that may come."""

from __future__ import annotations

import orjson
from hypothesis import strategies as st

from sidecar.domain import ChatRequest
from sidecar.wire.anthropic_build import build_messages_request
from sidecar.wire.anthropic_request import parse_messages_request

HELLO = {"role": "user", "content": "Hello"}
BASE = {"model": "claude", "max_tokens": 100, "messages": [HELLO]}
CACHED = {"type": "ephemeral"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
THOUGHT = {"type": "thinking", "thinking": "Hm", "signature": "s1g"}
DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "Grass is green."},
    "citations": {"enabled": True},
}
WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Bonn"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "21 °C"}


def body(**fields: object) -> bytes:
    """A request with these fields; None leaves one out."""
    raw = {**BASE, **fields}
    return orjson.dumps({name: value for name, value in raw.items() if value is not None})


def parse(**fields: object) -> ChatRequest:
    """The same, read."""
    return parse_messages_request(body(**fields))


def sent(**fields: object) -> dict:
    """What an Anthropic provider is sent for such a request."""
    return orjson.loads(build_messages_request(parse(**fields), "claude"))


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=6)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=5,
)  # fmt: skip
_objects = st.dictionaries(st.text(max_size=6), _json, max_size=3)
_words = st.text(min_size=1, max_size=6)
_cached = {"cache_control": st.just(CACHED)}
_texts = st.fixed_dictionaries(
    {"type": st.just("text"), "text": st.text(max_size=12)},
    optional={**_cached, "citations": st.lists(_objects, min_size=1, max_size=2)},
)
_sources = st.fixed_dictionaries(
    {"type": st.just("base64"),
     "media_type": st.sampled_from(["image/png", "a b/c", "image/svg+xml"]),
     "data": st.sampled_from(["iVBORw0=", "", "not base64"])}
) | st.fixed_dictionaries(
    {"type": st.just("url"), "url": st.sampled_from(["https://a/b.png", "data:x", "ftp://a"])},
) | st.fixed_dictionaries({"type": st.just("file"), "file_id": _words})  # fmt: skip
_images = st.fixed_dictionaries({"type": st.just("image"), "source": _sources}, optional=_cached)
_others = st.one_of(
    st.just(THOUGHT),
    st.just(DOCUMENT),
    st.fixed_dictionaries({"type": st.sampled_from(["redacted_thinking", "new_kind"]), "x": _json}),
)
_parts = st.one_of(_texts, _images, _others)
_contents = st.text(max_size=12) | st.lists(_parts, min_size=1, max_size=3)
_results = st.fixed_dictionaries(
    {"type": st.just("tool_result"), "tool_use_id": _words},
    optional={"content": _contents, "is_error": st.booleans(), **_cached},
)
_uses = st.fixed_dictionaries(
    {"type": st.just("tool_use"), "id": _words, "name": _words, "input": _objects},
    optional={**_cached, "caller": _objects},
)
_user = st.text(max_size=12) | st.lists(_parts | _results, min_size=1, max_size=4)
_assistant = st.text(max_size=12) | st.lists(_parts | _uses, min_size=1, max_size=4)
_system = st.text(max_size=9) | st.lists(_texts, min_size=1, max_size=2)
_turns = st.lists(st.tuples(_user, _system, _assistant), min_size=1, max_size=2).map(
    lambda rows: [
        {"role": role, "content": content}
        for row in rows
        for role, content in zip(("user", "system", "assistant"), row, strict=True)
    ]
)
_tools = st.fixed_dictionaries(
    {"name": _words, "input_schema": _objects},
    optional={"description": _words, "strict": st.booleans(), "input_examples": st.lists(_objects),
              **_cached},
) | st.just({"type": "web_search_20250305", "name": "web_search", "max_uses": 3})  # fmt: skip
_flags = {"disable_parallel_tool_use": st.booleans()}
_choices = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["auto", "any"])}, optional=_flags),
    st.fixed_dictionaries({"type": st.just("tool"), "name": _words}, optional=_flags),
    st.just({"type": "none"}),
)

requests = st.fixed_dictionaries(
    {"model": _words, "max_tokens": st.integers(1, 10**6), "messages": _turns},
    optional={
        "system": _system,
        "tools": st.lists(_tools, min_size=1, max_size=2),
        "tool_choice": _choices,
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 100),
        "stop_sequences": st.lists(_words, max_size=2),
        "stream": st.just(True),
        "metadata": st.fixed_dictionaries({"user_id": _words}),
        "thinking": st.just({"type": "enabled", "budget_tokens": 1024}),
        "mcp_servers": st.lists(_objects, max_size=1),
        "output_config": st.fixed_dictionaries(
            {},
            optional={"effort": st.sampled_from(["low", "max"]), "format": _objects, "new": _json},
        ),
        "service_tier": st.sampled_from(["auto", "standard_only"]),
        "new_field": _json.filter(lambda value: value is not None),
    },
)  # fmt: skip


def shortest(raw: dict) -> dict:
    """The form in which a request is sent: a lone plain text as a string."""
    turns = [{**turn, "content": _shortest(turn["content"])} for turn in raw["messages"]]
    system = {"system": _shortest(raw["system"])} if "system" in raw else {}
    return {**raw, **system, "messages": turns}


def _shortest(content: object) -> object:
    if type(content) is not list:
        return content
    blocks = [
        {**block, "content": _shortest(block["content"])} if block["type"] == "tool_result"
        and "content" in block else block
        for block in content
    ]  # fmt: skip
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks

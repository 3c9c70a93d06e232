"""Responses requests of any shape: understood or refused by name, and nothing else."""

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import InvalidRequestError
from sidecar.wire.openai_request import build_chat_request, parse_chat_request
from sidecar.wire.responses_fields import REQUEST
from sidecar.wire.responses_request import parse_responses_request

json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
words = st.sampled_from(
    ["message", "function_call", "function_call_output", "custom_tool_call", "input_text",
     "input_image", "output_text", "refusal", "function", "custom", "json_schema", "user",
     "assistant", "allowed_tools", "auto"]
)  # fmt: skip
names = st.sampled_from(
    ["type", "role", "content", "call_id", "name", "arguments", "output", "input", "text",
     "image_url", "format", "schema", "effort", "tools", "mode"]
)  # fmt: skip
strange = st.recursive(
    words | json,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
requests = st.dictionaries(
    st.sampled_from([*REQUEST, "prompt", "conversation", "x"]), strange, max_size=4
)


@given(requests, st.booleans())
def test_arbitrary_objects(raw, complete):
    """Whatever the object holds, it is understood or refused as the client's fault."""
    body = {"model": "m", "input": "Hello", **raw} if complete else raw
    with suppress(InvalidRequestError):
        parse_responses_request(orjson.dumps(body))


@given(st.lists(strange, max_size=3))
def test_arbitrary_items(items):
    """Whatever an item holds, it is understood or refused at its own place."""
    with suppress(InvalidRequestError):
        parse_responses_request(orjson.dumps({"model": "m", "input": items}))
        return
    with pytest.raises(InvalidRequestError) as caught:
        parse_responses_request(orjson.dumps({"model": "m", "input": items}))
    assert caught.value.param.startswith("input")


texts = st.text(max_size=9)
plain = st.text(min_size=1, max_size=5)
items = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": texts}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": texts}),
    st.fixed_dictionaries(
        {"type": st.just("function_call"), "call_id": plain, "name": plain, "arguments": texts}
    ),
    st.fixed_dictionaries(
        {"type": st.just("custom_tool_call"), "call_id": plain, "name": plain, "input": texts}
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call_output"), "call_id": plain, "output": texts}
    ),
)


@given(st.lists(items, min_size=1, max_size=6), st.none() | texts)
def test_nothing_that_was_said_is_lost(asked, instructions):
    """Each text, call and answer reaches a chat provider, in its order and only once."""
    raw = {"model": "m", "input": asked, "instructions": instructions}
    request = parse_responses_request(orjson.dumps(raw))
    sent = parse_chat_request(build_chat_request(request, "m"))
    assert sent.messages == request.messages
    answers = [i["output"] for i in asked if i.get("type") == "function_call_output"]
    assert [m.texts[0] for m in sent.messages if m.tool_call_id is not None] == answers
    calls = [(i["call_id"], i["name"]) for i in asked if "name" in i]
    assert [(c.id, c.name) for m in sent.messages for c in m.tool_calls] == calls
    said = [i["content"] for i in asked if "content" in i]
    texts_ = [text for m in sent.messages if m.tool_call_id is None for text in m.texts]
    assert texts_ == ([instructions] if instructions else []) + said


@pytest.mark.parametrize("deep", [b'{"model": "m", "input": ' + b"[" * 200 + b"]" * 200 + b"}"])
def test_deep_input(deep):
    """Input nested without end is refused, and exhausts nothing."""
    with pytest.raises(InvalidRequestError):
        parse_responses_request(deep)

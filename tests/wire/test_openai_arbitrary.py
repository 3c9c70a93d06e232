"""Chat requests and replies of any shape: understood or refused, and nothing else."""

from contextlib import suppress
from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Role
from sidecar.errors import InvalidRequestError, UpstreamError
from sidecar.wire.openai_fields import FIELDS
from sidecar.wire.openai_reply import build_chunk, build_completion, parse_chunk, parse_completion
from sidecar.wire.openai_request import build_chat_request, parse_chat_request

HELLO = {"role": "user", "content": "Hello"}

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
texts = st.text(max_size=12)
parts = st.fixed_dictionaries(
    {"type": st.just("text"), "text": texts}, optional={"cache_control": json}
) | st.fixed_dictionaries({"type": st.sampled_from(["image_url", "refusal"]), "x": json})
calls = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=5)},
    optional={
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {"name": texts, "arguments": texts}, optional={"x": json}
        ),
        "x": json,
    },
)
turns = st.fixed_dictionaries(
    {"role": st.sampled_from([role.value for role in Role]),
     "content": texts | st.lists(parts, min_size=1, max_size=3)},
    optional={"name": texts, "tool_calls": st.lists(calls, max_size=2), "x": json, "audio": json},
)  # fmt: skip
stream_options = st.fixed_dictionaries({}, optional={"include_usage": st.booleans(), "x": json})
requests = st.fixed_dictionaries(
    {"model": st.text(min_size=1, max_size=8), "messages": st.lists(turns, min_size=1, max_size=3)},
    optional={
        "temperature": st.floats(0, 2),
        "stop": texts | st.lists(texts, max_size=2),
        "tools": st.lists(st.dictionaries(texts, json, max_size=2), max_size=2),
        "stream": st.none() | st.booleans(),
        "stream_options": stream_options,
        "user": st.none() | texts,
        "x": json,
    },
)  # fmt: skip


@given(requests)
def test_what_is_sent_reads_back_the_same(raw):
    """A request survives being read, written and read again, but for the usage of a stream."""
    request = parse_chat_request(orjson.dumps(raw))
    again = parse_chat_request(build_chat_request(request, request.model))
    options = request.stream_options if request.stream else {}
    assert again == replace(request, include_usage=request.stream, stream_options=options)


strange_turns = st.dictionaries(
    st.sampled_from(["role", "content", "tool_calls", "name", "refusal", "x"]),
    st.sampled_from(["user", "assistant"]) | json | st.lists(calls, max_size=2),
    max_size=3,
)
strange = st.dictionaries(
    st.sampled_from([*FIELDS, "prompt", "context", "x"]),
    json | st.lists(strange_turns, max_size=2),
    max_size=4,
)


@given(strange, st.booleans())
def test_arbitrary_objects(raw, complete):
    """Whatever the object holds, it is understood or refused as the client's fault."""
    body = {"model": "m", "messages": [HELLO], **raw} if complete else raw
    with suppress(InvalidRequestError):
        parse_chat_request(orjson.dumps(body))


spoken = st.dictionaries(
    st.sampled_from(["role", "content", "refusal", "tool_calls", "x"]), json, max_size=3
)
choices = st.dictionaries(
    st.sampled_from(["index", "finish_reason", "logprobs", "message", "delta", "x"]),
    json | spoken,
    max_size=3,
)
replies = st.dictionaries(
    st.sampled_from(["id", "created", "model", "usage", "choices", "error", "x"]),
    json | st.lists(choices, max_size=2),
    max_size=4,
)


@given(replies)
def test_arbitrary_replies(raw):
    """Whatever a provider sends is refused as its fault, or can be written again."""
    body = orjson.dumps(raw)
    with suppress(UpstreamError):
        build_completion(parse_completion(body))


@given(replies)
def test_arbitrary_chunks(raw):
    """Whatever a provider streams is refused as its fault, or can be written again."""
    body = orjson.dumps(raw)
    with suppress(UpstreamError):
        build_chunk(parse_chunk(body), include_usage=True)

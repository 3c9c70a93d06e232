"""An Anthropic request to an Anthropic provider: read, written, and the same."""

from contextlib import suppress

import orjson
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import InvalidRequestError
from sidecar.wire.anthropic_build import build_messages_request
from sidecar.wire.anthropic_request import parse_messages_request
from sidecar.wire.openai_request import build_chat_request, parse_chat_request

from .messages import BASE, HELLO, requests, shortest
from .test_openai_arbitrary import json
from .test_openai_arbitrary import requests as openai_requests


@given(requests)
def test_an_anthropic_provider_is_sent_the_same_json(raw):
    """Nothing is lost, moved or added: not a thought, not a citation, not a cache hint."""
    request = parse_messages_request(orjson.dumps(raw))
    assert orjson.loads(build_messages_request(request, raw["model"])) == shortest(raw)


@given(requests)
def test_what_is_sent_reads_back_the_same(raw):
    """And so it may be read and written any number of times."""
    request = parse_messages_request(orjson.dumps(raw))
    again = parse_messages_request(build_messages_request(request, raw["model"]))
    assert again == request


@given(requests)
def test_an_openai_provider_is_sent_what_it_reads_or_nothing(raw):
    """A translation is a request that OpenAI's own reader takes; else a field is named."""
    request = parse_messages_request(orjson.dumps(raw))
    try:
        built = build_chat_request(request, "m")
    except InvalidRequestError as error:
        assert error.param  # noqa: PT017  either outcome is right
        return
    said = parse_chat_request(built)
    assert said.parameters.get("temperature") == raw.get("temperature")
    assert len(said.tools) == len(raw.get("tools", ()))
    assert not said.unknown


@given(openai_requests)
def test_an_anthropic_provider_is_sent_what_it_reads_or_nothing(raw):
    """The same from the other side."""
    request = parse_chat_request(orjson.dumps(raw))
    try:
        built = build_messages_request(request, "m")
    except InvalidRequestError as error:
        assert error.param  # noqa: PT017  either outcome is right
        return
    try:
        parse_messages_request(built)
    except InvalidRequestError as error:
        # OpenAI's reader lets a name be empty, and the provider is left to complain.
        assert error.param.endswith((".name", ".tool_use_id"))  # noqa: PT017


_blocks = st.dictionaries(
    st.sampled_from(["type", "text", "source", "id", "name", "input", "content", "tool_use_id"]),
    st.sampled_from(["text", "image", "tool_use", "tool_result", "image_url"]) | json,
    max_size=5,
)
_turns = st.dictionaries(
    st.sampled_from(["role", "content", "x"]),
    st.sampled_from(["user", "assistant"]) | json | st.lists(_blocks, max_size=2),
    max_size=3,
)
_strange = st.dictionaries(
    st.sampled_from(
        [*BASE, "system", "tools", "tool_choice", "metadata", "betas", "thinking", "x"]
    ),
    json | st.lists(_turns | _blocks, max_size=2) | _blocks,
    max_size=4,
)


@given(_strange, st.booleans())
def test_whatever_comes_is_understood_or_refused(raw, complete):
    """Any object is read or refused as the client's fault; what is read can be written."""
    fields = {**BASE, "messages": [HELLO], **raw} if complete else raw
    with suppress(InvalidRequestError):
        request = parse_messages_request(orjson.dumps(fields))
        build_messages_request(request, "m")
        build_chat_request(request, "m")

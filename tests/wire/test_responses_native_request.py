"""Requests that chat can't say: which those are, and that nothing of one is lost."""

from dataclasses import replace

import orjson
import pytest

from sidecar.errors import InvalidRequestError
from sidecar.native import NativeRequest
from sidecar.wire.anthropic_build import build_messages_request
from sidecar.wire.openai_request import build_chat_request
from sidecar.wire.responses_native import OWN_PREFIX, build_native_request
from sidecar.wire.responses_request import parse_responses_request

LOGPROBS = ["message.output_text.logprobs"]


def body(**fields) -> bytes:
    """The smallest request, changed in these fields."""
    return orjson.dumps({"model": "gpt-4o", "input": "Hello", **fields})


def parse(**fields) -> NativeRequest:
    """That request, understood."""
    return parse_responses_request(body(**fields))


def refusal(raw: bytes) -> InvalidRequestError:
    """What is said against this body."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_responses_request(raw)
    return caught.value


NATIVE = [
    ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ({"stream_options": {"include_usage": True}}, "stream_options.include_usage"),
    ({"truncation": "auto"}, "truncation"),
    ({"max_tool_calls": 3}, "max_tool_calls"),
    ({"moderation": {"model": "m"}}, "moderation"),
    ({"context_management": []}, "context_management"),
    ({"prompt_cache_options": {}}, "prompt_cache_options"),
    ({"include": [*LOGPROBS, "reasoning.encrypted_content"]}, "include[1]"),
    ({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
    ({"text": {"stop": "x"}}, "text.stop"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_object", "x": 1}}}, "text.format.x"),
    ({"messages": []}, "messages"),
    ({"max_tokens": 5}, "max_tokens"),
    ({"stop": "x"}, "stop"),
    ({"seed": 1}, "seed"),
    ({"n": 2}, "n"),
    ({"top_k": 5}, "top_k"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tool_choice": {"type": "mcp", "server_label": "s"}}, "tool_choice.type"),
    ({"input": [{"type": "reasoning", "summary": []}]}, "input[0].type"),
    ({"no such name": 1}, "(a field of an unusual name)"),
]
STATEFUL = [
    ({"background": True}, "background"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"conversation": {"id": "conv_1"}}, "conversation"),
    ({"previous_response_id": "resp_1", "input": None}, "previous_response_id"),
    ({"store": True}, "store"),
    ({"input": ["x", {"type": "item_reference", "id": "msg_1"}]}, "input[1]"),
    ({"input": [{"id": "msg_1"}]}, "input[0]"),
]


@pytest.mark.parametrize(("fields", "because"), [*NATIVE, *STATEFUL])
def test_what_chat_cannot_say_is_native(fields, because):
    """It is kept in its own words, and names the first place that no others can say."""
    request = parse(**fields)
    assert isinstance(request, NativeRequest)
    assert (request.because, request.messages) == (because, ())
    assert request.is_stateful == ((fields, because) in STATEFUL)


def test_a_message_with_an_id_is_no_reference():
    """Items of an earlier answer, sent whole, need nobody to have kept them."""
    for item in ({"id": "m", "role": "user", "content": "x"}, {"role": "user", "content": "x"}):
        assert not isinstance(parse(input=[item]), NativeRequest)


@pytest.mark.parametrize(("fields", "because"), NATIVE)
def test_a_chat_provider_refuses_it_by_name(fields, because):
    """Whichever words it would have to be put in."""
    for build in (build_chat_request, build_messages_request):
        with pytest.raises(InvalidRequestError) as caught:
            build(parse(**fields), "m")
        assert caught.value.param == because
        assert caught.value.message.startswith(f"{because} can only be asked")


@pytest.mark.parametrize(("fields", "because"), [*NATIVE, *STATEFUL])
def test_what_a_provider_of_this_format_is_asked(fields, because):
    """All of it, as it was said, but for the model's name, and a null, which says nothing."""
    said = {"model": "gpt-4o", "input": "Hello", **fields}
    kept = {name: value for name, value in said.items() if value is not None}
    sent = orjson.loads(build_native_request(parse(**fields), "there"))
    assert sent == {**kept, "model": "there"}


def test_labels_of_a_native_request():
    """They are where tags are looked for and may be added to, and they are sent."""
    labels = {"metadata": {"feature": "faq"}, "user": "u", "safety_identifier": "s", "store": True}
    request = parse(**labels, stream=True)
    assert (request.labels, request.stream, request.include_usage) == (labels, True, True)
    added = replace(request, labels={**labels, "user": "hashed"})
    sent = orjson.loads(build_native_request(added, "there"))
    assert sent == {
        **labels,
        "user": "hashed",
        "model": "there",
        "input": "Hello",
        "stream": True,
    }


def test_an_answer_that_nobody_kept():
    """Who goes on from a translated answer is told how to have the next one kept."""
    error = refusal(body(previous_response_id=f"{OWN_PREFIX}1"))
    assert error.param == "previous_response_id"
    assert "store: true" in error.message


@pytest.mark.parametrize("name", ["prompt", "context"])
def test_what_is_reserved_stays_so(name):
    """A native request can't smuggle in what is this product's own."""
    assert refusal(body(**{name: {"id": "p"}}, store=True)).param == name


def test_nor_by_a_request_that_stays_native():
    """What names the place that chat has no word for is told to clients and quotes nothing."""
    for fields in (
        {"include": ["sk-canary"]},
        {"text": {"format": {"type": "sk-canary"}}},
        {"tools": [{"type": "sk-canary"}]},
        {"input": [{"type": "sk-canary"}]},
        {"sk-canary with spaces": 1},
        {"sk-canary\nof two lines": 1},
    ):
        assert "sk-canary" not in parse(**fields).because

"""OpenAI Responses requests: put in chat's words, kept in their own, or refused by name."""

import orjson
import pytest

from sidecar.domain import Dialect, Message, Role, Text
from sidecar.errors import InvalidRequestError
from sidecar.wire.openai_request import build_chat_request, parse_chat_request
from sidecar.wire.responses_native import OWN_PREFIX
from sidecar.wire.responses_request import NO_ECHO, ResponsesRequest, parse_responses_request

LOGPROBS = ["message.output_text.logprobs"]


def body(**fields) -> bytes:
    """The smallest request, changed in these fields."""
    return orjson.dumps({"model": "gpt-4o", "input": "Hello", **fields})


def parse(**fields) -> ResponsesRequest:
    """That request, understood."""
    return parse_responses_request(body(**fields))


def refusal(raw: bytes) -> InvalidRequestError:
    """What is said against this body, in one line."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_responses_request(raw)
    assert "\n" not in caught.value.message
    return caught.value


def test_smallest_request():
    """A model and a text are enough, and the request knows whose format it came in."""
    assert parse() == ResponsesRequest(
        "gpt-4o",
        (Message(Role.USER, (Text("Hello"),)),),
        dialect=Dialect.RESPONSES,
        echo=NO_ECHO,
    )


def test_instructions_come_first():
    """Instructions are a system's turn before all others."""
    turns = parse(instructions="Be brief.", input=[{"role": "developer", "content": "x"}]).messages
    assert turns == (
        Message(Role.SYSTEM, (Text("Be brief."),)),
        Message(Role.DEVELOPER, (Text("x"),)),
    )


def test_empty_instructions_are_none():
    """Instructions that say nothing are no turn."""
    assert parse(instructions="").messages == parse().messages


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({"max_output_tokens": 50}, {"max_completion_tokens": 50}),
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
        ({"prompt_cache_retention": "24h"}, {"prompt_cache_retention": "24h"}),
        ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"reasoning": {"effort": None, "summary": None}}, {}),
        ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "text"}}}, {}),
        (
            {"text": {"format": {"type": "json_object"}}},
            {"response_format": {"type": "json_object"}},
        ),
        ({"include": LOGPROBS}, {"logprobs": True}),
        ({"include": LOGPROBS, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"include": [], "top_logprobs": 0}, {}),
        ({"truncation": "disabled", "background": False, "store": False}, {}),
        ({"tool_choice": "none"}, {"tool_choice": "none"}),
    ],
)
def test_parameters(fields, parameters):
    """What changes an answer is asked for in chat's words; what is done anyway in none."""
    request = parse(**fields)
    assert isinstance(request, ResponsesRequest)
    assert request.parameters == parameters


def test_json_schema():
    """The schema of the answer stands one level down in chat."""
    schema = {"name": "step", "schema": {"type": "object"}, "strict": True, "description": "d"}
    assert parse(text={"format": {"type": "json_schema", **schema}}).parameters == {
        "response_format": {"type": "json_schema", "json_schema": schema}
    }


def test_labels():
    """What only labels a request is kept apart from what changes its answer."""
    labels = {"metadata": {"feature": "faq"}, "user": "u", "safety_identifier": "s", "store": False}
    request = parse(**labels)
    assert (request.labels, request.parameters) == (labels, {})


def test_stream():
    """A stream of this format always ends with its usage."""
    request = parse(stream=True, stream_options={"include_obfuscation": False})
    assert (request.stream, request.include_usage, request.stream_options) == (True, True, {})
    assert not parse().include_usage


def test_nothing_is_unknown():
    """Nothing in foreign words goes to a chat provider."""
    assert not parse(temperature=1, metadata={}, truncation="disabled").unknown


WRONG = [
    ({"model": ""}, "model"),
    ({"model": None}, "model"),
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": {}}, "input"),
    ({"instructions": ["Be brief."]}, "instructions"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_output_tokens": "50"}, "max_output_tokens"),
    ({"temperature": 2.1}, "temperature"),
    ({"top_p": True}, "top_p"),
    ({"metadata": {"a": 1}}, "metadata"),
    ({"user": 1}, "user"),
    ({"store": "no"}, "store"),
    ({"stream": "yes"}, "stream"),
    ({"background": "no"}, "background"),
    ({"background": 0}, "background"),
    ({"previous_response_id": ""}, "previous_response_id"),
    ({"previous_response_id": False}, "previous_response_id"),
    ({"conversation": 5}, "conversation"),
    ({"background": True, "tools": {}}, "tools"),
    ({"background": True, "model": None}, "model"),
    ({"background": True, "input": None}, "input"),
    ({"truncation": "sometimes"}, "truncation"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"context": {"documents": []}}, "context"),
    ({"include": "x"}, "include"),
    ({"include": [{}]}, "include[0]"),
    ({"top_logprobs": -1}, "top_logprobs"),
    ({"reasoning": "low"}, "reasoning"),
    ({"reasoning": {"effort": 1}}, "reasoning.effort"),
    ({"text": {"verbosity": 1}}, "text.verbosity"),
    ({"text": {"format": "json"}}, "text.format"),
    ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG)
def test_refused_by_name(fields, param):
    """Each refusal names the place that is wrong, as a client would write it."""
    error = refusal(body(**fields))
    assert error.param == param
    assert error.message.startswith(f"{param} ")


def test_prompt_as_chat_refuses_it():
    """A stored prompt is refused in the words of the chat endpoint."""
    prompt = {"prompt": {"id": "p", "version": "1", "variables": {}}}
    with pytest.raises(InvalidRequestError) as chat:
        parse_chat_request(body(**prompt))
    assert refusal(body(**prompt)).message == chat.value.message


NULLS = ("prompt", "previous_response_id", "conversation", "background", "temperature", "top_k")


@pytest.mark.parametrize("name", NULLS)
def test_null_is_absent(name):
    """An explicit null asks for nothing."""
    assert parse(**{name: None}) == parse()


def test_values_are_never_quoted():
    """A refusal tells what was expected and nothing of what was sent."""
    for fields in (
        {"temperature": "sk-canary"},
        {"truncation": "sk-canary"},
        {"input": [{"role": "sk-canary", "content": "x"}]},
        {"previous_response_id": f"{OWN_PREFIX}sk-canary"},
    ):
        error = refusal(body(**fields))
        assert "sk-canary" not in f"{error.message} {error.param}"


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"model": "m", "input": "\xff"}'])
def test_malformed_json(raw):
    """What is no JSON object is refused like everything else."""
    assert refusal(raw).param is None


def test_what_a_provider_is_asked():
    """All of a request reaches a chat provider, and no word of this format does."""
    request = parse(
        instructions="Be brief.",
        max_output_tokens=9,
        reasoning={"effort": "low"},
        text={"verbosity": "low"},
        user="u",
        tools=[{"type": "function", "name": "f"}],
        stream=True,
    )
    assert orjson.loads(build_chat_request(request, "there")) == {
        "model": "there",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
        "verbosity": "low",
        "user": "u",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_echo_is_what_was_said():
    """A request remembers its own words, with the defaults of what it left out."""
    tools = [{"type": "function", "name": "f", "strict": None}]
    echo = parse(tools=tools, temperature=0.5, text={"verbosity": "low"}, metadata={"a": "b"}).echo
    assert echo == {
        **NO_ECHO,
        "tools": tools,
        "temperature": 0.5,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "metadata": {"a": "b"},
    }

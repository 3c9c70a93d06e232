"""The known fields of a request: each has a check, whose ends are where they should be."""

import orjson
import pytest

from sidecar.domain import ChatRequest
from sidecar.errors import InvalidRequestError
from sidecar.wire.openai_fields import FIELDS
from sidecar.wire.openai_request import parse_chat_request


def parse(**fields) -> ChatRequest:
    """The smallest request, with these fields beside."""
    messages = [{"role": "user", "content": "Hello"}]
    return parse_chat_request(orjson.dumps({"model": "m", "messages": messages, **fields}))


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"model", "messages"}))
def test_null_is_absent(name):
    """An explicit null of a known field is as if it weren't there."""
    assert parse(**{name: None}) == parse()


WRONG = {
    "stream": ["true", 1],
    "stream_options": [True, []],
    "tools": [{}, ["f"], "f"],
    "temperature": [-0.1, 2.1, "0.5", True],
    "top_p": [-0.1, 1.1, "1", False],
    "presence_penalty": [-2.1, 2.1, "0"],
    "frequency_penalty": [-2.1, 2.1, "0"],
    "n": [0, 129, 1.5, True, "1"],
    "max_tokens": [0, -1, 1.5, True, "9"],
    "max_completion_tokens": [0, -1, 1.5, True, "9"],
    "top_logprobs": [-1, 1.5, True],
    "seed": [1.5, "1", True],
    "stop": [5, [5], {}],
    "logit_bias": [[], {"50256": "-100"}, {"50256": True}],
    "logprobs": [1, "true"],
    "parallel_tool_calls": [1, "true"],
    "response_format": ["json", []],
    "audio": ["alloy"],
    "prediction": ["x"],
    "web_search_options": [True],
    "tool_choice": [True, []],
    "function_call": [True, []],
    "functions": [{}, ["f"]],
    "modalities": ["text", [1]],
    "reasoning_effort": [1],
    "verbosity": [1],
    "service_tier": [1],
    "prompt_cache_key": [1],
    "prompt_cache_retention": [1],
    "metadata": [
        "x",
        {"a": 1},
        {"a": None},
        {str(i): "" for i in range(17)},
        {"k" * 65: ""},
        {"k": "v" * 513},
    ],
    "user": [1, {}],
    "safety_identifier": [1],
    "store": ["true", 1],
}
RIGHT = {
    "stream": [True, False],
    "tools": [[], [{"type": "function"}]],
    "temperature": [0, 2, 0.7],
    "top_p": [0, 1],
    "presence_penalty": [-2, 2],
    "n": [1, 128],
    "max_tokens": [1],
    "stop": ["\n", ["a", "b"], []],
    "logit_bias": [{}, {"50256": -100}],
    "tool_choice": ["auto", {"type": "function"}],
    "metadata": [{}, {str(i): "v" * 512 for i in range(15)} | {"k" * 64: ""}],
}


def test_every_field_has_wrong_examples():
    """No known field is without a check."""
    assert set(WRONG) == set(FIELDS) - {"model", "messages"}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_wrong_types_are_refused(name, value):
    """A known field of the wrong type or out of its range is refused by name."""
    with pytest.raises(InvalidRequestError, match=f"^{name} must be ") as caught:
        parse(**{name: value})
    assert caught.value.param == name


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in RIGHT.items() for v in vs])
def test_bounds_are_allowed(name, value):
    """The ends of each range, and each form that a field may have, are accepted."""
    parse(**{name: value})

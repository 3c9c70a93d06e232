"""How an answer is to look and how hard to think of it, from one vendor's words to the other's."""

from __future__ import annotations

import orjson
import pytest

from sidecar.errors import InvalidRequestError
from sidecar.wire.anthropic_build import build_messages_request
from sidecar.wire.openai_request import build_chat_request

from .chats import chat
from .messages import parse, sent

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "schema": SCHEMA}
EFFORTS = ["low", "medium", "high", "xhigh", "max"]


def schema(**fields: object) -> dict:
    """OpenAI's words for an answer of this form."""
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, **fields}}


def to_anthropic(**fields: object) -> dict:
    """What an Anthropic provider is asked with."""
    return orjson.loads(build_messages_request(chat(**fields), "claude"))


def to_openai(**fields: object) -> dict:
    """What an OpenAI provider is asked with."""
    return orjson.loads(build_chat_request(parse(**fields), "gpt"))


@pytest.mark.parametrize("strict", [True, False, None])
def test_a_schema_is_a_schema(strict):
    """Anthropic holds the answer to it; how strictly OpenAI would is no less."""
    assert to_anthropic(response_format=schema(strict=strict))["output_config"] == {
        "format": FORMAT
    }


def test_what_is_said_of_a_schema_stands_in_it():
    """For there the model reads it too."""
    asked = to_anthropic(response_format=schema(description="A number"))
    told = asked["output_config"]["format"]["schema"]
    assert told == {**SCHEMA, "description": "A number"}


@pytest.mark.parametrize("effort", EFFORTS)
def test_effort_has_the_same_words(effort):
    """In both directions."""
    assert to_anthropic(reasoning_effort=effort)["output_config"] == {"effort": effort}
    assert to_openai(output_config={"effort": effort})["reasoning_effort"] == effort


def test_both_at_once():
    """One object holds them."""
    asked = to_anthropic(response_format=schema(), reasoning_effort="low")
    assert asked["output_config"] == {"format": FORMAT, "effort": "low"}


def test_no_reasoning_is_no_thinking():
    """Newer models think where nothing is said, so it is said."""
    asked = to_anthropic(reasoning_effort="none")
    assert asked["thinking"] == {"type": "disabled"}
    assert "output_config" not in asked


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "minimal"}, "reasoning_effort"),
        ({"reasoning_effort": "new"}, "reasoning_effort"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "grammar", "json_schema": {}}}, "response_format"),
        ({"response_format": {**schema(), "x": 1}}, "response_format.x"),
        ({"response_format": schema(x=1)}, "response_format.json_schema.x"),
        ({"response_format": schema(schema=None)}, "response_format.json_schema.schema"),
        (
            {"response_format": schema(schema={"description": "a"}, description="b")},
            "response_format.json_schema.description",
        ),
    ],
)
def test_what_anthropic_can_not_do_is_refused_by_name(fields, param):
    """An answer of another form is none that was asked for."""
    with pytest.raises(InvalidRequestError) as raised:
        to_anthropic(**fields)
    assert (raised.value.param, raised.value.status) == (param, 400)


def test_anthropics_schema_is_openais_strict_one():
    """A guarantee there is asked for as one here; the name is a label."""
    asked = to_openai(output_config={"format": FORMAT, "effort": None})
    assert asked["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }
    assert not {"output_config", "reasoning_effort"} & asked.keys()


@pytest.mark.parametrize(
    ("config", "param"),
    [
        ({"task_budget": {"total": 9}}, "output_config.task_budget"),
        ({"effort": "new"}, "output_config.effort"),
        ({"format": {"type": "grammar"}}, "output_config.format"),
        ({"format": "json"}, "output_config.format"),
        ({"format": {"type": "json_schema"}}, "output_config.format.schema"),
        ({"format": {**FORMAT, "x": 1}}, "output_config.format.x"),
    ],
)
def test_what_openai_can_not_do_is_refused_by_name(config, param):
    """Each part of it by its own."""
    with pytest.raises(InvalidRequestError) as raised:
        to_openai(output_config=config)
    assert (raised.value.param, raised.value.status) == (param, 400)
    assert "OpenAI" in raised.value.message


def test_anthropic_is_told_its_own_words():
    """Those that are unknown here too."""
    config = {"format": {"type": "new"}, "task_budget": {"total": 9}}
    assert sent(output_config=config)["output_config"] == config

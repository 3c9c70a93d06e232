"""Answers are a function of what was asked."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.providers.simulated.engine import answers, count_prompt_tokens, count_tokens

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}


def request(text: str = "How do I reset my password?", **fields: Any) -> dict[str, Any]:
    """Return a request of one question."""
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}


def test_the_same_request_has_the_same_answer() -> None:
    """Whatever the order of its fields."""
    backwards = dict(reversed(request().items()))
    assert answers(request()) == answers(backwards)


@pytest.mark.parametrize(
    "other",
    [
        request("How do I reset my passport?"),
        request(temperature=1),
        request(seed=7),
        {**request(), "model": "gpt-4o-mini"},
    ],
)
def test_another_request_has_another_answer(other: dict[str, Any]) -> None:
    """So that an answer that reaches the wrong prompt can be seen."""
    assert answers(request())[0].text != answers(other)[0].text


@pytest.mark.parametrize("field", [{"stream": True}, {"user": "ada"}, {"metadata": {"a": "b"}}])
def test_delivery_does_not_change_the_answer(field: dict[str, Any]) -> None:
    """A stream says what the whole reply says."""
    assert answers(request()) == answers(request(**field))


def test_it_quotes_the_question() -> None:
    """A reader of a demo sees what was asked."""
    assert "How do I reset my password?" in answers(request())[0].text


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_the_answer(field: str) -> None:
    """The first tokens of the same answer, and the reason `length`."""
    cut = answers(request(**{field: 5}))[0]
    assert (cut.tokens, cut.finish) == (answers(request())[0].tokens[:5], "length")


def test_several_choices_differ() -> None:
    """`n` answers, not one answer n times."""
    assert len({answer.text for answer in answers(request(n=3))}) == 3


@given(st.lists(st.text(min_size=1), min_size=1))
def test_it_answers_whatever_is_said(texts: list[str]) -> None:
    """No text breaks it, and an answer's tokens are never more than its words."""
    asked = request()
    asked["messages"] = [{"role": "user", "content": text} for text in texts]
    for answer in answers(asked):
        assert len(answer.tokens) <= count_tokens(answer.text)
    assert 1 <= count_prompt_tokens(asked) <= max(1, len("".join(texts).encode()))


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
)
def test_a_tool_is_called_where_it_must_be(choice: Any) -> None:
    """With arguments that hold what its schema requires."""
    answer = answers(request(tools=[TOOL], tool_choice=choice))[0]
    assert answer.call is not None
    assert (answer.call.name, answer.finish) == ("get_weather", "tool_calls")
    assert orjson.loads(answer.text).keys() == {"city"}


def test_a_tool_is_called_where_the_question_names_it() -> None:
    """With `tool_choice` auto, which is the default."""
    answer = answers(request("What is the weather in Paris?", tools=[TOOL]))[0]
    assert answer.call is not None


@pytest.mark.parametrize(
    "asked",
    [
        request(tools=[TOOL]),
        request("What is the weather?", tools=[TOOL], tool_choice="none"),
        request("What is the weather?"),
    ],
)
def test_no_tool_is_called_unasked(asked: dict[str, Any]) -> None:
    """Another question, a ban, or no tool."""
    assert answers(asked)[0].call is None


def test_a_tools_result_is_answered_with_text() -> None:
    """Or an agent would call its tool for ever."""
    asked = request("What is the weather in Paris?", tools=[TOOL])
    asked["messages"].append({"role": "tool", "tool_call_id": "1", "content": "rain"})
    answer = answers(asked)[0]
    assert answer.call is None
    assert "rain" in answer.text


def test_json_mode_answers_json() -> None:
    """An object."""
    answer = answers(request(response_format={"type": "json_object"}))[0]
    assert isinstance(orjson.loads(answer.text), dict)


def test_a_schema_is_kept() -> None:
    """All that it requires is there."""
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert orjson.loads(answers(request(response_format=wanted))[0].text) == {"ok": True}

"""The real `openai` SDK's Responses client, against what is written here."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from sidecar.domain import Choice, Finish, Role, Text
from tests.wire.responding import (
    ANSWERS,
    CALLS,
    CUSTOM,
    CUT,
    ENDLESS,
    FILTERED,
    REFUSAL,
    TEXT,
    WEATHER,
    Responder,
    answer,
    responding,
)


class Step(BaseModel):
    """What the model is made to answer with."""

    title: str


@pytest.fixture(scope="module")
def server() -> Iterator[Responder]:
    """A server for all tests of this file; each says what it answers."""
    with responding() as responder:
        yield responder


@pytest.fixture(scope="module")
def client(server: Responder) -> Iterator[OpenAI]:
    """The synchronous client."""
    with OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client:
        yield client


def ask(client: OpenAI, **fields) -> Response:
    """A whole reply."""
    return client.responses.create(model="gpt-4o", input="Hello", **fields)


def streamed(client: OpenAI, **fields) -> list:
    """The events of a stream."""
    return list(client.responses.create(model="gpt-4o", input="Hello", stream=True, **fields))


@pytest.mark.parametrize("completion", ANSWERS)
def test_types(server, client, completion):
    """The SDK's own type accepts every whole reply, strictly, with and without parameters."""
    server.say(completion)
    for fields in ({}, {"tools": [WEATHER], "tool_choice": "required", "temperature": 0.5}):
        raw = client.responses.with_raw_response.create(model="m", input="Hello", **fields)
        Response.model_validate_json(raw.text, strict=True)


def test_a_whole_answer(server, client):
    """A whole answer has its text, its usage and its model."""
    server.say(TEXT)
    response = ask(client)
    assert response.output_text == TEXT.choices[0].text
    assert (response.id, response.created_at) == ("resp_sidecar_abc", 1_700_000_000)
    assert (response.status, response.model) == ("completed", "gpt-4o-2024")
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (20, 7, 27)
    assert usage.input_tokens_details.cached_tokens == 12
    assert usage.output_tokens_details.reasoning_tokens == 3


async def test_the_asynchronous_client(server):
    """The asynchronous client reads the same, whole and streamed."""
    server.say(TEXT)
    async with AsyncOpenAI(base_url=server.base_url, api_key="x") as client:
        whole = await client.responses.create(model="m", input="Hello")
        async with client.responses.stream(model="m", input="Hello") as stream:
            final = await stream.get_final_response()
    assert whole.output_text == final.output_text == TEXT.choices[0].text


def test_tool_calls(server, client):
    """Calls are items of their own behind the text, each with the id to answer it by."""
    server.say(CALLS)
    message, first, second = ask(client, tools=[WEATHER]).output
    assert message.content[0].text == "Let me see."
    assert (first.type, first.call_id, first.name) == ("function_call", "call_1", "get_weather")
    assert (second.call_id, second.arguments) == ("call_2", '{"city": "Rome"}')


def test_a_conversation_with_tools(server, client):
    """A reply that is sent back as input, with the tools' answers, is understood."""
    server.say(CALLS)
    given = ask(client, tools=[WEATHER]).output
    outputs = [
        {"type": "function_call_output", "call_id": call_id, "output": "21 °C"}
        for call_id in ("call_1", "call_2")
    ]
    client.responses.create(model="m", input=[*given, *outputs], tools=[WEATHER])
    said, *answers = server.requests[-1].messages
    assert (said.role, said.content) == (Role.ASSISTANT, (Text("Let me see."),))
    assert said.tool_calls == CALLS.choices[0].tool_calls
    assert [turn.tool_call_id for turn in answers] == ["call_1", "call_2"]


def test_custom_tool_calls(server, client):
    """A custom tool's call has its input, whole and streamed, and can be sent back."""
    server.say(CUSTOM)
    (call,) = ask(client).output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "sql", "select 1")
    deltas = [e.delta for e in streamed(client) if e.type.endswith("input.delta")]
    assert "".join(deltas) == "select 1"
    client.responses.create(model="m", input=[call])
    assert server.requests[-1].messages[0].tool_calls == CUSTOM.choices[0].tool_calls


def test_a_refusal(server, client):
    """A refusal is a part of its own, whole and streamed, and no text."""
    server.say(REFUSAL)
    response = ask(client)
    assert response.output_text == ""
    assert response.output[0].content[0].refusal == "I can't help with that."
    events = streamed(client)
    told_ = "".join(event.delta for event in events if event.type == "response.refusal.delta")
    assert told_ == "I can't help with that."
    assert events[-1].response.output == response.output


@pytest.mark.parametrize(
    ("completion", "reason"),
    [(CUT, "max_output_tokens"), (FILTERED, "content_filter"), (ENDLESS, None)],
)
def test_incomplete(server, client, completion, reason):
    """An answer that did not come to its end is never `completed`, whole or streamed."""
    server.say(completion)
    events = streamed(client)
    assert events[-1].type == "response.incomplete"
    for response in (ask(client), events[-1].response):
        assert response.status == "incomplete"
        found = response.incomplete_details
        assert (found.reason if found else None) == reason
        assert response.output[0].status == "incomplete"
        assert response.output_text == completion.choices[0].text
    assert not any(event.type == "response.completed" for event in events)


def test_structured_answers(server, client):
    """`parse` asks for its schema in chat's words and reads the answer."""
    server.say(answer(Choice(0, '{"title": "Reset"}', Finish.STOP)))
    parsed = client.responses.parse(model="m", input="Hello", text_format=Step)
    assert parsed.output_parsed == Step(title="Reset")
    asked = server.requests[-1].parameters["response_format"]
    assert asked["json_schema"]["schema"]["required"] == ["title"]


def test_echo(server, client):
    """A reply repeats what it was asked with, and the defaults of what it was not."""
    server.say(TEXT)
    response = ask(
        client,
        instructions="Be brief.",
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "get_weather"},
        parallel_tool_calls=False,
        temperature=0.5,
        top_p=0.9,
        metadata={"feature": "faq"},
        max_output_tokens=50,
        reasoning={"effort": "low"},
    )
    assert (response.instructions, response.metadata) == ("Be brief.", {"feature": "faq"})
    assert response.tools[0].name == response.tool_choice.name == "get_weather"
    assert (response.temperature, response.top_p) == (0.5, 0.9)
    assert (response.parallel_tool_calls, response.max_output_tokens) == (False, 50)
    assert response.reasoning.effort == "low"
    plain = ask(client)
    assert (plain.instructions, plain.tools, plain.tool_choice) == (None, [], "auto")
    assert (plain.parallel_tool_calls, plain.metadata) == (True, {})


def test_refused_requests(server, client):
    """What is refused is an error of the SDK's, with the name of the field."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="m", input="x", previous_response_id="resp_sidecar_1")
    assert (caught.value.param, caught.value.code) == ("previous_response_id", "invalid_request")

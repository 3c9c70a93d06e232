"""The real `openai` SDK's Responses, unmodified, against the simulated provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import orjson
import pytest
from openai import AsyncOpenAI

from sidecar.providers.simulated import SimulatedServer

COMMON: dict[str, Any] = {"model": "gpt-sim", "input": "How are you?"}
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture
async def client(simulated: SimulatedServer) -> AsyncIterator[AsyncOpenAI]:
    """The SDK's asynchronous client."""
    async with AsyncOpenAI(base_url=simulated.base_url, api_key="any", max_retries=0) as client:
        yield client


async def respond(client: AsyncOpenAI, *, stream: bool = False, **fields: Any) -> Any:
    """A response, put together by the SDK where it is streamed."""
    if not stream:
        return await client.responses.create(**{**COMMON, **fields})
    async with client.responses.stream(**{**COMMON, **fields}) as events:
        async for _ in events:
            pass
        return await events.get_final_response()


def billed(simulated: SimulatedServer) -> Any:
    """What the ledger billed."""
    return orjson.loads(simulated.ledger.report())["billed"]


@STREAMS
async def test_a_response(client: AsyncOpenAI, simulated: SimulatedServer, stream: bool) -> None:
    """Text, its end, and usage that is what the ledger billed."""
    answer = await respond(client, stream=stream)
    assert "How are you?" in answer.output_text
    assert (answer.status, answer.store, answer.error) == ("completed", True, None)
    usage = {
        "prompt_tokens": answer.usage.input_tokens,
        "completion_tokens": answer.usage.output_tokens,
    }
    assert billed(simulated) == usage


async def test_a_stream_says_what_the_whole_says(client: AsyncOpenAI) -> None:
    """The SDK puts the same together, and its numbers go up by one."""
    whole, streamed = await respond(client), await respond(client, stream=True)
    assert streamed.output_text == whole.output_text
    assert streamed.usage == whole.usage
    events = [event async for event in await client.responses.create(**COMMON, stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))


@STREAMS
async def test_a_function_and_what_came_of_it(client: AsyncOpenAI, stream: bool) -> None:
    """The call is an item; its output goes on from it by the id of the response."""
    first = await respond(client, stream=stream, tools=[WEATHER], tool_choice="required")
    (call,) = first.output
    assert (call.type, call.name) == ("function_call", "get_weather")
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    told = await respond(client, input=[output], previous_response_id=first.id, tools=[WEATHER])
    assert "sunny" in told.output_text


@STREAMS
async def test_what_is_kept(client: AsyncOpenAI, stream: bool) -> None:
    """By the response's id, by the item's, and by the conversation's: each is billed again."""
    first = await respond(client, stream=stream, conversation="conv_1")
    said = len(first.output_text.split())
    for fields, words in (
        ({"previous_response_id": first.id, "input": "And?"}, 3 + said + 1),
        ({"input": [{"type": "item_reference", "id": first.output[0].id}]}, said),
        ({"conversation": {"id": "conv_1"}, "input": "And?"}, 3 + said + 1),
    ):
        assert (await respond(client, **fields)).usage.input_tokens == words


async def test_instructions_are_not_kept(client: AsyncOpenAI) -> None:
    """They hold for one response, as OpenAI says."""
    first = await respond(client, instructions="Be very brief.")
    again = await respond(client, previous_response_id=first.id, input="And?")
    assert again.usage.input_tokens == 3 + len(first.output_text.split()) + 1


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"previous_response_id": "resp_gone"}, 400, "previous_response_not_found"),
        ({"input": [{"type": "item_reference", "id": "msg_gone"}]}, 404, None),
        ({"extra_body": {"seed": 1}}, 400, "unknown_parameter"),
        ({"previous_response_id": "a", "conversation": "b"}, 400, None),
        ({"background": True, "store": False}, 400, None),
        ({"input": []}, 400, None),
        ({"input": ["x"]}, 400, None),
        ({"input": [{"type": "x"}]}, 400, None),
    ],
)
async def test_what_openai_refuses(
    client: AsyncOpenAI, fields: dict[str, Any], status: int, code: str | None
) -> None:
    """Is refused here: a test whose request nobody would take proves nothing."""
    with pytest.raises(openai.APIStatusError) as raised:
        await respond(client, **fields)
    assert (raised.value.status_code, raised.value.code) == (status, code)


async def test_what_is_not_to_be_kept_is_not(client: AsyncOpenAI) -> None:
    """With `store: false` nothing goes on from it."""
    first = await respond(client, store=False)
    with pytest.raises(openai.BadRequestError):
        await respond(client, previous_response_id=first.id)


async def test_a_response_in_the_background(
    client: AsyncOpenAI, simulated: SimulatedServer
) -> None:
    """It is queued and says nothing, and it is billed."""
    answer = await respond(client, background=True)
    assert (answer.status, answer.output, answer.usage) == ("queued", [], None)
    assert billed(simulated)["completion_tokens"] > 0


@STREAMS
@pytest.mark.parametrize(
    ("finish", "ended"),
    [
        ("length", ("incomplete", "max_output_tokens")),
        ("content_filter", ("incomplete", "content_filter")),
        ("stop", ("completed", None)),
        ("failed", ("failed", None)),
    ],
)
async def test_scripted_ends(
    client: AsyncOpenAI, simulated: SimulatedServer, finish: str, ended: Any, stream: bool
) -> None:
    """In this API's words."""
    simulated.script.replace([{"finish_reason": finish}])
    told: Any = await client.responses.create(**COMMON, stream=stream)
    answer = [event async for event in told][-1].response if stream else told
    why = answer.incomplete_details
    assert (answer.status, why and why.reason) == ended


@pytest.mark.parametrize("usage", [None, {"input_tokens": 7, "output_tokens": 9}])
async def test_a_scripted_lie_about_usage(
    client: AsyncOpenAI, simulated: SimulatedServer, usage: Any
) -> None:
    """It changes the reply and not the bill."""
    simulated.script.replace([{"usage": usage}])
    reply = await client.responses.with_raw_response.create(**COMMON)
    assert orjson.loads(reply.content)["usage"] == usage
    assert billed(simulated)["prompt_tokens"] == 3


async def test_a_false_end_tells_no_response(
    client: AsyncOpenAI, simulated: SimulatedServer
) -> None:
    """Half the words, and nothing that ends it."""
    simulated.script.replace([{"false_done": True}])
    events = [event async for event in await client.responses.create(**COMMON, stream=True)]
    assert events[-1].type == "response.output_text.delta"


async def test_an_error_in_the_middle(client: AsyncOpenAI, simulated: SimulatedServer) -> None:
    """It is the last event, with its code."""
    simulated.script.replace([{"error_after_events": 5, "code": "server_error"}])
    events: Any = [event async for event in await client.responses.create(**COMMON, stream=True)]
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert (len(events), events[-1].type, events[-1].code) == (6, "error", "server_error")


async def test_a_cap_cuts_the_answer(client: AsyncOpenAI) -> None:
    """It is incomplete, and says why."""
    answer = await respond(client, max_output_tokens=4)
    assert answer.usage.output_tokens == 4
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_object"},
        {"type": "json_schema", "name": "city", "schema": WEATHER["parameters"]},
    ],
)
async def test_json_is_answered_where_it_is_asked_for(client: AsyncOpenAI, form: Any) -> None:
    """By the form of the text."""
    answer = await respond(client, text={"format": form})
    assert isinstance(orjson.loads(answer.output_text), dict)

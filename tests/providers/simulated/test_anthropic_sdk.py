"""The real `anthropic` SDK, unmodified, against the simulated provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import orjson
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam, ToolParam

from sidecar.providers.simulated import SimulatedServer

ASKED: list[MessageParam] = [{"role": "user", "content": "How are you?"}]
COMMON: dict[str, Any] = {"model": "claude-sim", "max_tokens": 1000, "messages": ASKED}
WEATHER: ToolParam = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@pytest.fixture
async def client(simulated: SimulatedServer) -> AsyncIterator[AsyncAnthropic]:
    """The SDK's asynchronous client."""
    async with AsyncAnthropic(base_url=simulated.url, api_key="any", max_retries=0) as client:
        yield client


async def test_a_whole_message(client: AsyncAnthropic, simulated: SimulatedServer) -> None:
    """Text, the reason it ended, and usage that is what the ledger billed."""
    message = await client.messages.create(**COMMON)
    assert message.content[0].type == "text"
    assert "How are you?" in message.content[0].text
    assert (message.stop_reason, message.role) == ("end_turn", "assistant")
    usage = {
        "prompt_tokens": message.usage.input_tokens,
        "completion_tokens": message.usage.output_tokens,
    }
    assert orjson.loads(simulated.ledger.report())["billed"] == usage


async def test_a_stream_says_what_the_whole_message_says(client: AsyncAnthropic) -> None:
    """The SDK puts the same text, end and usage together."""
    whole = await client.messages.create(**COMMON)
    async with client.messages.stream(**COMMON) as stream:
        streamed = await stream.get_final_message()
    whole_block, streamed_block = whole.content[0], streamed.content[0]
    assert (whole_block.type, streamed_block.type) == ("text", "text")
    assert streamed_block.text == whole_block.text
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.stop_reason == whole.stop_reason


async def test_the_events_come_in_their_order(client: AsyncAnthropic) -> None:
    """Each kind where Anthropic sends it."""
    stream = await client.messages.create(**COMMON, stream=True)
    kinds = list(dict.fromkeys([event.type async for event in stream]))
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]  # the SDK keeps `ping` to itself


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
async def test_a_tool_is_called(client: AsyncAnthropic, choice: Any) -> None:
    """Whole and streaming, with the arguments that its schema requires."""
    asked = {**COMMON, "tools": [WEATHER], "tool_choice": choice}
    whole = await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    block = whole.content[0]
    assert block.type == "tool_use"
    assert (block.name, block.input) == ("get_weather", {"city": "simulated city"})
    assert block.id.startswith("toolu_")
    assert (whole.stop_reason, streamed.content) == ("tool_use", whole.content)


async def test_a_tools_result_is_answered_with_text(client: AsyncAnthropic) -> None:
    """Or an agent would call its tool for ever."""
    called = await client.messages.create(**COMMON, tools=[WEATHER], tool_choice={"type": "any"})
    block = called.content[0]
    assert block.type == "tool_use"
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "rain"}
    turns: list[Any] = [
        *ASKED,
        {"role": "assistant", "content": [block.model_dump()]},
        {"role": "user", "content": [result]},
    ]
    answer = await client.messages.create(
        model="m", max_tokens=100, messages=turns, tools=[WEATHER]
    )
    assert answer.content[0].type == "text"
    assert "rain" in answer.content[0].text


async def test_a_cap_cuts_the_answer(client: AsyncAnthropic) -> None:
    """With Anthropic's word for it."""
    message = await client.messages.create(model="m", max_tokens=3, messages=ASKED)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)


async def test_tokens_are_counted(client: AsyncAnthropic, simulated: SimulatedServer) -> None:
    """As they are billed; to count them is free, and stands in the ledger."""
    counted = await client.messages.count_tokens(
        model="m", messages=ASKED, system="Be brief.", tools=[WEATHER]
    )
    message = await client.messages.create(**COMMON, system="Be brief.", tools=[WEATHER])
    assert counted.input_tokens == message.usage.input_tokens
    rows = orjson.loads(simulated.ledger.report())["requests"]
    assert [row["endpoint"] for row in rows] == ["count_tokens", "messages"]
    assert rows[0]["billed"] == {"prompt_tokens": 0, "completion_tokens": 0}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
    ],
)
async def test_errors_are_the_sdks_own(
    client: AsyncAnthropic, simulated: SimulatedServer, status: int, error: type[Exception]
) -> None:
    """By their status, in Anthropic's shape."""
    simulated.script.replace([{"status": status}])
    with pytest.raises(error) as raised:
        await client.messages.create(**COMMON)
    body: Any = getattr(raised.value, "body", None)
    assert body["type"] == "error"
    assert body["error"]["type"] in {
        "invalid_request_error", "rate_limit_error", "api_error", "overloaded_error",
    }  # fmt: skip


async def test_an_error_in_mid_stream_reaches_the_reader(
    client: AsyncAnthropic, simulated: SimulatedServer
) -> None:
    """After a 200 and some text, as an `error` event."""
    simulated.script.replace([{"error_after_events": 5, "status": 529}])
    stream = await client.messages.create(**COMMON, stream=True)
    with pytest.raises(anthropic.APIStatusError) as raised:
        [event async for event in stream]
    assert "overloaded_error" in str(raised.value)
    row = orjson.loads(simulated.ledger.report())["requests"][0]
    assert (row["outcome"], row["billed"]["completion_tokens"]) == ("failed", 2)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"messages": ASKED}, "max_tokens"),
        ({"max_tokens": 5, "messages": []}, "messages"),
        ({"max_tokens": 5, "messages": ASKED, "temperature": 1.5}, "temperature"),
        ({"max_tokens": 5, "messages": ASKED, "n": 2}, "n"),
        ({"max_tokens": 5, "messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
        ({"max_tokens": 5, "messages": [{"role": "user", "content": ""}]}, "messages.0.content.0"),
        (
            {
                "max_tokens": 5,
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "x", "content": "y"}],
                    }
                ],
            },
            "messages.0",
        ),
        (
            {
                "max_tokens": 5,
                "messages": [
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "x", "name": "y", "input": {}}],
                    },
                    {"role": "user", "content": "and?"},
                ],
            },
            "messages.1",
        ),
    ],
)
async def test_what_anthropic_refuses_is_refused(
    client: AsyncAnthropic, body: dict[str, Any], named: str
) -> None:
    """By its name: a translation that no vendor would take must fail here too."""
    with pytest.raises(anthropic.BadRequestError) as raised:
        await client.post("/v1/messages", body={"model": "m", **body}, cast_to=object)
    told: Any = raised.value.body
    assert told["error"]["message"].startswith(f"{named}:")

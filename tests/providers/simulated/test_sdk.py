"""The real `openai` SDK, unmodified, against the simulated provider."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from sidecar.providers.simulated import SimulatedServer

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How are you?"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
async def client(simulated: SimulatedServer) -> AsyncIterator[AsyncOpenAI]:
    """The SDK's asynchronous client."""
    async with AsyncOpenAI(base_url=simulated.base_url, api_key="any", max_retries=0) as client:
        yield client


async def test_async(client: AsyncOpenAI) -> None:
    """A whole answer."""
    answer = await client.chat.completions.create(model="gpt-4o", messages=ASKED)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_sync(simulated: SimulatedServer) -> None:
    """A whole answer, from a thread."""

    def ask() -> str | None:
        with OpenAI(base_url=simulated.base_url, api_key="any") as client:
            answer = client.chat.completions.create(model="gpt-4o", messages=ASKED)
            return answer.choices[0].message.content

    assert "How are you?" in (await asyncio.to_thread(ask) or "")


async def test_stream(client: AsyncOpenAI) -> None:
    """With usage on the last chunk, where it was asked for."""
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[0].usage) == ([], None)
    assert chunks[-1].usage is not None


async def test_stream_without_usage(client: AsyncOpenAI) -> None:
    """Where it was not asked for, none comes."""
    stream = await client.chat.completions.create(model="gpt-4o", messages=ASKED, stream=True)
    assert all([chunk.usage is None and chunk.choices async for chunk in stream])


async def test_tools(client: AsyncOpenAI) -> None:
    """A call of the tool."""
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASKED, tools=[WEATHER], tool_choice="required"
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [(call.type, call.function.name) for call in calls if call.type == "function"] == [
        ("function", "get_weather")
    ]
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_streamed_tools(client: AsyncOpenAI) -> None:
    """The SDK puts the pieces together and reads the arguments."""
    async with client.chat.completions.stream(
        model="gpt-4o", messages=ASKED, tools=[WEATHER], tool_choice="required"
    ) as stream:
        answer = await stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls or []
    assert calls[0].function.arguments == '{"city":"simulated city"}'


async def test_json_mode(client: AsyncOpenAI) -> None:
    """A JSON object."""
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASKED, response_format={"type": "json_object"}
    )
    assert (answer.choices[0].message.content or "").startswith("{")


async def test_errors_are_the_sdks_own(client: AsyncOpenAI, simulated: SimulatedServer) -> None:
    """By their status."""
    simulated.script.replace([{"times": 1, "status": 429}, {"times": 1, "status": 503}])
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(model="gpt-4o", messages=ASKED)
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="gpt-4o", messages=ASKED)


async def test_models(client: AsyncOpenAI) -> None:
    """The list."""
    assert "gpt-4o" in [model.id async for model in client.models.list()]


async def test_embeddings(client: AsyncOpenAI) -> None:
    """Unit vectors, the same for the same text; the SDK asks for base64."""
    replies = [
        await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        for _ in range(2)
    ]
    first, second = (data.embedding for data in replies[0].data)
    assert len(first) == 1536
    assert math.sqrt(sum(value * value for value in first)) == pytest.approx(1, abs=1e-5)
    assert first != second
    assert [data.embedding for data in replies[1].data] == [first, second]


async def test_embeddings_as_floats(client: AsyncOpenAI) -> None:
    """Of a chosen length."""
    reply = await client.embeddings.create(
        model="text-embedding-3-small", input="a", dimensions=8, encoding_format="float"
    )
    assert len(reply.data[0].embedding) == 8

"""The real `openai` SDK, its base_url changed and nothing else: answers of every kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from .running import MODELS, Provider, Sidecar

ASKED = "How do I reset my password?"
NEAR = "How can I reset my password?"
MESSAGES: Any = [{"role": "user", "content": ASKED}]
WEATHER: Any = {
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
WITH_TOOLS: Any = {"tools": [WEATHER], "tool_choice": "required"}
JSON_MODE: Any = {"response_format": {"type": "json_object"}}
EVERY_WAY = pytest.mark.parametrize("way", ["miss", "exact", "semantic"])
EXACT_WAYS = pytest.mark.parametrize("way", ["miss", "exact"])
Warm = Callable[..., None]


class Step(BaseModel):
    """What the model is made to answer with."""

    title: str
    minutes: int


@pytest.fixture
def client(running: Sidecar) -> Iterator[OpenAI]:
    """The SDK's synchronous client."""
    with OpenAI(base_url=running.url, api_key="x") as client:
        yield client


@pytest.fixture
async def async_client(running: Sidecar) -> AsyncIterator[AsyncOpenAI]:
    """The SDK's asynchronous client."""
    async with AsyncOpenAI(base_url=running.url, api_key="x") as client:
        yield client


@pytest.fixture
def warm(running: Sidecar) -> Warm:
    """Make the next question of these fields a miss, an exact or a semantic hit."""

    def ask_before(way: str, **fields: Any) -> None:
        if way != "miss":
            assert running.ask(ASKED if way == "exact" else NEAR, **fields).status == 200

    return ask_before


@EVERY_WAY
def test_a_whole_answer(client: OpenAI, warm: Warm, way: str) -> None:
    """The synchronous client reads a whole answer, with its usage."""
    warm(way)
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
    answer = raw.parse()
    assert raw.headers["x-sidecar-cache"] == way
    assert "reset my password" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@EVERY_WAY
async def test_an_answer_awaited(async_client: AsyncOpenAI, warm: Warm, way: str) -> None:
    """The asynchronous client reads the same."""
    warm(way)
    ask = async_client.chat.completions.with_raw_response.create
    raw = await ask(model="gpt-4o", messages=MESSAGES)
    assert raw.headers["x-sidecar-cache"] == way
    assert "reset my password" in (raw.parse().choices[0].message.content or "")


@EVERY_WAY
def test_a_stream(client: OpenAI, warm: Warm, way: str) -> None:
    """The synchronous client reads a stream without usage, for it did not ask for it."""
    warm(way)
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


@EVERY_WAY
async def test_a_stream_awaited(async_client: AsyncOpenAI, warm: Warm, way: str) -> None:
    """The asynchronous client reads a stream with usage on its last chunk."""
    warm(way)
    stream = await async_client.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    *others, last = [chunk async for chunk in stream]
    assert last.usage is not None
    assert (last.choices, last.usage.prompt_tokens) == ([], 6)
    assert all(chunk.usage is None for chunk in others)


@EVERY_WAY
def test_the_head_of_a_stream(client: OpenAI, warm: Warm, way: str) -> None:
    """A raw response shows how a stream came about before its first chunk is read."""
    warm(way)
    ask = client.chat.completions.with_raw_response.create
    raw = ask(model="gpt-4o", messages=MESSAGES, stream=True)
    assert raw.headers["x-sidecar-cache"] == way
    assert [chunk for chunk in raw.parse() if chunk.choices[0].finish_reason]


@EVERY_WAY
def test_json_mode(client: OpenAI, warm: Warm, way: str) -> None:
    """JSON mode gives JSON."""
    warm(way, **JSON_MODE)
    answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, **JSON_MODE)
    assert "answer" in json.loads(answer.choices[0].message.content or "")


def test_a_schema_parsed_twice(client: OpenAI, provider: Provider) -> None:
    """An answer in a schema is parsed into its type, from the provider and from the cache."""
    asked: Any = {"model": "gpt-4o", "messages": MESSAGES, "response_format": Step}
    answers = [client.chat.completions.parse(**asked) for _ in range(2)]
    assert isinstance(answers[0].choices[0].message.parsed, Step)
    assert answers[0].choices[0].message.parsed == answers[1].choices[0].message.parsed
    assert provider.calls == 1


@EXACT_WAYS
def test_tools(client: OpenAI, warm: Warm, way: str) -> None:
    """A call of a tool has its name, id and arguments; only the exact tier keeps it."""
    warm(way, **WITH_TOOLS)
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=MESSAGES, **WITH_TOOLS
    )
    choice = raw.parse().choices[0]
    call = (choice.message.tool_calls or [])[0]
    assert raw.headers["x-sidecar-cache"] == way
    assert (call.type, choice.finish_reason) == ("function", "tool_calls")
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "simulated city"}


@EXACT_WAYS
async def test_streamed_tools(async_client: AsyncOpenAI, warm: Warm, way: str) -> None:
    """The SDK's own accumulator puts a streamed call of a tool together."""
    warm(way, **WITH_TOOLS)
    async with async_client.chat.completions.stream(
        model="gpt-4o", messages=MESSAGES, **WITH_TOOLS
    ) as stream:
        answer = await stream.get_final_completion()
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert (call.function.name, call.function.arguments) == (
        "get_weather",
        '{"city":"simulated city"}',
    )


def test_a_tool_is_answered(client: OpenAI) -> None:
    """The call that a stored answer holds can be answered, as the SDK sends it back."""
    asked: Any = {"model": "gpt-4o", "tools": [WEATHER]}
    for _ in range(2):
        first = client.chat.completions.create(messages=MESSAGES, **asked, tool_choice="required")
        said = first.choices[0].message
        result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "Sunny"}
        answer = client.chat.completions.create(messages=[*MESSAGES, said, result], **asked)
        assert "Sunny" in (answer.choices[0].message.content or "")


def test_several_choices(client: OpenAI, provider: Provider) -> None:
    """`n` choices come each with its index, and never from the cache."""
    for _ in range(2):
        answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, n=3)
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert provider.calls == 2


def test_several_choices_streamed(client: OpenAI) -> None:
    """A stream of `n` choices finishes each of them once."""
    stream = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, n=3, stream=True)
    finished = [c.index for chunk in stream for c in chunk.choices if c.finish_reason]
    assert sorted(finished) == [0, 1, 2]


def test_models(client: OpenAI) -> None:
    """The list holds the configured names."""
    assert [model.id for model in client.models.list()] == list(MODELS)


async def test_many_at_once(async_client: AsyncOpenAI, provider: Provider) -> None:
    """Fifty different questions at once get each its own answer."""

    async def ask(number: int) -> bool:
        question: Any = [{"role": "user", "content": f"Tell me about item {number}, please"}]
        answer = await async_client.chat.completions.create(model="gpt-4o", messages=question)
        return f"item {number}," in (answer.choices[0].message.content or "")

    assert all(await asyncio.gather(*map(ask, range(50))))
    assert provider.calls == 50

"""The asynchronous SDKs, unmodified, before every kind of provider: streams, tools, errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncAzureOpenAI, AsyncOpenAI

from .models import every_kind
from .running import Provider, Sidecar
from .test_sdk_formats import ASKED, CHAT_TOOL, CLAUDE_TOOL, FLAT_TOOL, KINDS

TURNS: Any = [{"role": "user", "content": ASKED}]
JSON_MODE: Any = {"type": "json_object"}


@pytest.fixture(scope="module")
def shared_sidecar(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A sidecar with one model behind each kind of provider."""
    return serve(**every_kind(shared_provider))


@pytest.fixture
async def gpt(running: Sidecar) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client."""
    async with AsyncOpenAI(base_url=running.url, api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(running: Sidecar) -> AsyncIterator[AsyncAnthropic]:
    """Anthropic's client."""
    base_url = running.url.removesuffix("/v1")
    async with AsyncAnthropic(base_url=base_url, api_key="x", max_retries=0) as client:
        yield client


@KINDS
async def test_chunks_of_a_chat(gpt: AsyncOpenAI, provider: Provider, model: str) -> None:
    """Piece by piece with usage at the end, and the same from the cache."""

    async def told() -> tuple[str, Any]:
        stream = await gpt.chat.completions.create(
            model=model, messages=TURNS, stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = [chunk async for chunk in stream]
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert last.usage is not None
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks), last.usage

    first, again = await told(), await told()
    assert ASKED in first[0]
    assert first == again
    assert provider.calls == 1


@KINDS
async def test_events_of_a_response(gpt: AsyncOpenAI, provider: Provider, model: str) -> None:
    """In OpenAI's order; the deltas are the text of the whole."""
    for _ in range(2):
        stream = await gpt.responses.create(model=model, input=ASKED, stream=True)
        events = [event async for event in stream]
        assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
        numbers = [event.sequence_number for event in events]
        assert numbers == sorted(set(numbers))
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == events[-1].response.output_text
        assert ASKED in "".join(deltas)
    assert provider.calls == 1


@KINDS
async def test_events_of_a_message(claude: AsyncAnthropic, provider: Provider, model: str) -> None:
    """In Anthropic's order, by the raw stream and by the helper alike."""
    raw = await claude.messages.create(model=model, max_tokens=500, messages=TURNS, stream=True)
    kinds = [event.type async for event in raw]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1
    async with claude.messages.stream(model=model, max_tokens=500, messages=TURNS) as helper:
        text = "".join([piece async for piece in helper.text_stream])
        message = await helper.get_final_message()
    assert [block.text for block in message.content if block.type == "text"] == [text]
    assert ASKED in text
    assert message.usage.input_tokens > 0
    assert provider.calls == 1


@KINDS
async def test_a_tool_in_every_format(gpt: AsyncOpenAI, claude: AsyncAnthropic, model: str) -> None:
    """Streamed and put together by each SDK's own accumulator."""
    asked: Any = {"model": model, "messages": TURNS}
    async with gpt.chat.completions.stream(
        **asked, tools=[CHAT_TOOL], tool_choice="required"
    ) as chat:
        (called,) = (await chat.get_final_completion()).choices[0].message.tool_calls or []
    async with gpt.responses.stream(
        model=model, input=ASKED, tools=[FLAT_TOOL], tool_choice="required"
    ) as response:
        (item,) = (await response.get_final_response()).output
    async with claude.messages.stream(
        **asked, max_tokens=500, tools=[CLAUDE_TOOL], tool_choice={"type": "any"}
    ) as message:
        final = await message.get_final_message()
    (block,) = final.content
    assert called.function.name == item.name == block.name == "get_weather"
    told = [json.loads(called.function.arguments), json.loads(item.arguments), block.input]
    assert told == [{"city": "simulated city"}] * 3
    assert final.stop_reason == "tool_use"


@pytest.mark.parametrize("model", ["by-openai", "by-azure"])
async def test_json_mode_in_both_of_openai_s_formats(gpt: AsyncOpenAI, model: str) -> None:
    """JSON, whole and streamed."""
    chat = await gpt.chat.completions.create(model=model, messages=TURNS, response_format=JSON_MODE)
    assert "answer" in json.loads(chat.choices[0].message.content or "")
    async with gpt.responses.stream(
        model=model, input=ASKED, text={"format": JSON_MODE}
    ) as response:
        assert "answer" in json.loads((await response.get_final_response()).output_text)


async def test_json_mode_is_refused_by_name_where_there_is_none(
    gpt: AsyncOpenAI, provider: Provider
) -> None:
    """Anthropic has no such mode: an answer that may not be JSON would be worse."""
    with pytest.raises(openai.BadRequestError, match="response_format"):
        await gpt.chat.completions.create(
            model="by-anthropic", messages=TURNS, response_format=JSON_MODE
        )
    assert provider.calls == 0


@KINDS
async def test_tokens_are_counted(claude: AsyncAnthropic, provider: Provider, model: str) -> None:
    """By Anthropic where it answers, here where it doesn't; no model is asked for an answer."""
    counted = await claude.messages.count_tokens(model=model, messages=TURNS)
    assert counted.input_tokens > 0
    asked = [row["endpoint"] for row in provider.ledger["requests"]]
    assert asked == (["count_tokens"] if model == "by-anthropic" else [])


async def test_azure_s_own_client_is_told_where_to_go(running: Sidecar) -> None:
    """Its URLs name a deployment, which is no path here: 404 and not a pass-through."""
    async with AsyncAzureOpenAI(
        azure_endpoint=running.url.removesuffix("/v1"), api_version="2024-10-21", api_key="x"
    ) as client:
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="by-azure", messages=TURNS)


OWN_ERRORS: list[tuple[int, tuple[Any, Any]]] = [
    (400, (openai.BadRequestError, anthropic.BadRequestError)),
    (404, (openai.NotFoundError, anthropic.NotFoundError)),
    (409, (openai.ConflictError, anthropic.ConflictError)),
    (422, (openai.UnprocessableEntityError, anthropic.UnprocessableEntityError)),
    (429, (openai.RateLimitError, anthropic.RateLimitError)),
    (401, (openai.InternalServerError, anthropic.InternalServerError)),
    (500, (openai.InternalServerError, anthropic.InternalServerError)),
    (529, (openai.InternalServerError, anthropic.InternalServerError)),
]
Ask = Callable[..., Any]
FORMATS = pytest.mark.parametrize("format_", ["chat", "response", "message"])


@pytest.fixture
def ask(gpt: AsyncOpenAI, claude: AsyncAnthropic) -> Ask:
    """One call in a format; what an SDK gives for it."""

    def call(format_: str, model: str, question: str = ASKED, **fields: Any) -> Any:
        turns: Any = [{"role": "user", "content": question}]
        if format_ == "chat":
            return gpt.chat.completions.create(model=model, messages=turns, **fields)
        if format_ == "response":
            return gpt.responses.create(model=model, input=question, **fields)
        return claude.messages.create(model=model, max_tokens=500, messages=turns, **fields)

    return call


@KINDS
@FORMATS
async def test_errors_are_each_sdk_s_own(
    ask: Ask, provider: Provider, model: str, format_: str
) -> None:
    """Whoever failed, the exception is the one that apps look for. Our key is none of theirs."""
    for status, kinds in OWN_ERRORS:
        provider.script({"status": status})
        for stream in (False, True):
            with pytest.raises(kinds[format_ == "message"]) as raised:
                await ask(format_, model, stream=stream)
            error = raised.value
            assert error.status_code == (503 if status in (401, 500, 529) else status)
            assert isinstance(error.body, dict)
            assert ("error" in error.body) is (format_ == "message")
    assert provider.calls == 2 * len(OWN_ERRORS)


@KINDS
@FORMATS
async def test_a_stream_that_dies_after_its_first_words(
    ask: Ask, provider: Provider, model: str, format_: str
) -> None:
    """The SDK raises in the middle and sees no end; nothing is kept, so the next call is whole."""
    provider.script({"cut_after_events": 6, "times": 1})
    seen: list[Any] = []
    with pytest.raises((openai.APIError, anthropic.APIError)):
        await read(await ask(format_, model, stream=True), seen)
    assert seen
    assert not [event for event in seen if is_end(event)]
    await read(await ask(format_, model, stream=True), seen)
    assert is_end(seen[-1])
    assert provider.outcomes == ["cut", "completed"]


async def read(stream: Any, seen: list[Any]) -> None:
    """Collect what comes, also where it ends with an error."""
    async for event in stream:
        seen.append(event)  # noqa: PERF401  what came before the error counts


def is_end(event: Any) -> bool:
    """Whether a client may take what came so far for a whole answer."""
    if hasattr(event, "choices"):
        return any(choice.finish_reason for choice in event.choices)
    return event.type in ("response.completed", "message_stop")


@KINDS
async def test_thirty_callers_of_all_three_formats_at_once(
    ask: Ask, provider: Provider, model: str
) -> None:
    """Each gets its own answer, in its own format."""

    async def is_answered(number: int) -> bool:
        format_ = ("chat", "response", "message")[number % 3]
        question = f"Tell me about item {number}, please"
        return question in (await ask(format_, model, question)).model_dump_json()

    assert all(await asyncio.gather(*map(is_answered, range(30))))
    assert provider.calls == 30

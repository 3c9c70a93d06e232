"""The real `openai` and `anthropic` SDKs in three formats, each before every kind of provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from .models import every_kind
from .running import Provider, Sidecar

ASKED = "How do I reset my password?"
CITY: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
FLAT_TOOL: Any = {"type": "function", "name": "get_weather", "parameters": CITY}
CLAUDE_TOOL: Any = {"name": "get_weather", "input_schema": CITY}
KINDS = pytest.mark.parametrize("model", ["by-openai", "by-anthropic", "by-azure"])
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def both(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A sidecar with one model behind each kind of provider."""
    return serve(**every_kind(shared_provider))


@pytest.fixture
def asked(both: Sidecar, provider: Provider) -> Sidecar:
    """The same, its cache and its provider's ledger empty."""
    both.purge(all=True)
    assert provider.calls == 0
    return both


@pytest.fixture
def gpt(asked: Sidecar) -> Iterator[OpenAI]:
    """OpenAI's client."""
    with OpenAI(base_url=asked.url, api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(asked: Sidecar) -> Iterator[Anthropic]:
    """Anthropic's client."""
    with Anthropic(base_url=asked.url.removesuffix("/v1"), api_key="x", max_retries=0) as client:
        yield client


def chat(gpt: OpenAI, model: str, *, stream: bool, **more: Any) -> Any:
    """A chat completion, put together from its chunks where it is streamed."""
    fields = {"model": model, "messages": [{"role": "user", "content": ASKED}], **more}
    if not stream:
        return gpt.chat.completions.create(**fields)
    with gpt.chat.completions.stream(**fields) as events:
        return events.get_final_completion()


def respond(gpt: OpenAI, model: str, *, stream: bool, **more: Any) -> Any:
    """A response."""
    if not stream:
        return gpt.responses.create(model=model, input=ASKED, **more)
    with gpt.responses.stream(model=model, input=ASKED, **more) as events:
        return events.get_final_response()


def message(claude: Anthropic, model: str, *, stream: bool, **more: Any) -> Any:
    """A message."""
    fields = {"max_tokens": 500, "messages": [{"role": "user", "content": ASKED}], **more}
    if not stream:
        return claude.messages.create(model=model, **fields)
    with claude.messages.stream(model=model, **fields) as events:
        return events.get_final_message()


@KINDS
@STREAMS
def test_chat(gpt: OpenAI, provider: Provider, model: str, stream: bool) -> None:
    """A miss, then the same from the cache, with usage; the provider worked once."""
    first, again = (chat(gpt, model, stream=stream) for _ in range(2))
    assert ASKED in first.choices[0].message.content
    assert first.choices[0].message.content == again.choices[0].message.content
    assert (first.choices[0].finish_reason, again.choices[0].finish_reason) == ("stop", "stop")
    assert provider.calls == 1


@KINDS
@STREAMS
def test_responses(gpt: OpenAI, provider: Provider, model: str, stream: bool) -> None:
    """The same by OpenAI's Responses."""
    first, again = (respond(gpt, model, stream=stream) for _ in range(2))
    assert ASKED in first.output_text
    assert (first.output_text, first.status) == (again.output_text, "completed")
    assert first.usage.output_tokens > 0
    assert provider.calls == 1


@KINDS
@STREAMS
def test_messages(claude: Anthropic, provider: Provider, model: str, stream: bool) -> None:
    """The same by Anthropic's Messages."""
    first, again = (message(claude, model, stream=stream) for _ in range(2))
    assert ASKED in first.content[0].text
    assert [block.text for block in first.content] == [block.text for block in again.content]
    assert (first.stop_reason, first.role) == ("end_turn", "assistant")
    assert first.usage.output_tokens > 0
    assert provider.calls == 1


@KINDS
@STREAMS
def test_tools_by_chat(gpt: OpenAI, model: str, stream: bool) -> None:
    """The call comes, its result goes, the answer tells it."""
    asked = chat(gpt, model, stream=stream, tools=[CHAT_TOOL], tool_choice="required")
    (call,) = asked.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert "city" in json.loads(call.function.arguments)
    turns: Any = [
        {"role": "user", "content": ASKED},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": call.function.name,
                        "arguments": call.function.arguments,
                    },
                }
            ],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"},
    ]
    told = gpt.chat.completions.create(model=model, messages=turns, tools=[CHAT_TOOL])
    assert "sunny, 21 degrees" in (told.choices[0].message.content or "")


@KINDS
@STREAMS
def test_tools_by_responses(gpt: OpenAI, model: str, stream: bool) -> None:
    """A function call is an item, and so is what came of it."""
    asked = respond(gpt, model, stream=stream, tools=[FLAT_TOOL], tool_choice="required")
    (call,) = [item for item in asked.output if item.type == "function_call"]
    assert (call.name, "city" in json.loads(call.arguments)) == ("get_weather", True)
    items: Any = [
        {"role": "user", "content": ASKED},
        {
            "type": "function_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": call.arguments,
        },
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 21 degrees"},
    ]
    told = gpt.responses.create(model=model, input=items, tools=[FLAT_TOOL])
    assert "sunny, 21 degrees" in told.output_text


@KINDS
@STREAMS
def test_tools_by_messages(claude: Anthropic, model: str, stream: bool) -> None:
    """A tool's use is a block, and so is its result."""
    choice: Any = {"type": "any"}
    asked = message(claude, model, stream=stream, tools=[CLAUDE_TOOL], tool_choice=choice)
    (use,) = [block for block in asked.content if block.type == "tool_use"]
    assert (use.name, "city" in use.input, asked.stop_reason) == ("get_weather", True, "tool_use")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny, 21 degrees"}
    turns: Any = [
        {"role": "user", "content": ASKED},
        {"role": "assistant", "content": [use.to_dict()]},
        {"role": "user", "content": [result]},
    ]
    told = claude.messages.create(model=model, max_tokens=500, messages=turns, tools=[CLAUDE_TOOL])
    assert "sunny, 21 degrees" in told.content[0].text  # type: ignore[union-attr]


def test_formats_do_not_share_answers(gpt: OpenAI, claude: Anthropic, provider: Provider) -> None:
    """What one format says may have no word in another."""
    chat(gpt, "by-openai", stream=False)
    respond(gpt, "by-openai", stream=False)
    message(claude, "by-openai", stream=False)
    assert provider.calls == 3


@pytest.mark.parametrize(
    ("model", "fields", "named"),
    [
        ("by-anthropic", {"logprobs": True}, "logprobs"),
        ("by-anthropic", {"n": 2}, "n"),
        ("by-anthropic", {"seed": 7}, "seed"),
    ],
)
def test_what_anthropic_has_no_word_for_is_refused(
    gpt: OpenAI, provider: Provider, model: str, fields: Any, named: str
) -> None:
    """By name, and before anything is sent."""
    with pytest.raises(openai.BadRequestError) as raised:
        chat(gpt, model, stream=False, **fields)
    assert raised.value.param == named
    assert provider.calls == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("thinking", {"type": "enabled", "budget_tokens": 1024}), ("top_k", 5)],
)
def test_what_openai_has_no_word_for_is_refused(
    claude: Anthropic, provider: Provider, field: str, value: Any
) -> None:
    """The same from the other side, in Anthropic's shape; Anthropic itself gets it."""
    more: Any = {"max_tokens": 2000, "extra_body": {field: value}}
    with pytest.raises(anthropic.BadRequestError) as raised:
        message(claude, "by-openai", stream=False, **more)
    assert field in str(raised.value)
    assert provider.calls == 0
    assert message(claude, "by-anthropic", stream=False, **more).stop_reason == "end_turn"

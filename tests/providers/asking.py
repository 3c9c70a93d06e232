"""Requests and replies that the tests of providers share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson

from sidecar.domain import ChatRequest, Chunk, Message, Role, Text, Timeouts
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.transport import Transport

KEY = "sk-canary-5f1e7a"
"""A key that must show nowhere."""

PATIENT = Timeouts(connect_s=5, first_token_s=20, total_s=30)
HURRIED = Timeouts(connect_s=5, first_token_s=5, total_s=0.3)
EVENT = orjson.dumps(
    {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}],
    }
)
COMPLETION = orjson.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
)


def asks(text: str = "How do I reset my password?", *, stream: bool = False) -> ChatRequest:
    """Return a request of one question."""
    message = Message(role=Role.USER, content=(Text(text),))
    return ChatRequest(model="gpt-4o", messages=(message,), stream=stream)


def provider(url: str, transport: Transport) -> OpenAIProvider:
    """Return a provider at this server."""
    return OpenAIProvider("canary", f"{url}/v1", KEY, transport)


async def read_stream(asked: OpenAIProvider, timeouts: Timeouts = PATIENT) -> list[Chunk]:
    """Return every chunk of a stream."""
    return [chunk async for chunk in asked.stream(asks(stream=True), "m", timeouts)]


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop run until it holds; the test's own timeout bounds the wait."""
    while not holds():
        await asyncio.sleep(0.001)

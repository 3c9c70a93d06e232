"""Requests in OpenAI's words, for an Anthropic provider."""

from __future__ import annotations

import orjson

from sidecar.domain import ChatRequest
from sidecar.wire.openai_request import parse_chat_request

from .messages import WEATHER

HELLO = {"role": "user", "content": "Hello"}
FUNCTION = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather",
        "parameters": WEATHER["input_schema"],
    },
}
CALL = {
    "id": "toolu_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Bonn"}'},
}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "toolu_1", "content": "21 °C"}


def chat(**fields: object) -> ChatRequest:
    """A request in OpenAI's words."""
    raw = {"model": "gpt", "messages": [HELLO], **fields}
    return parse_chat_request(orjson.dumps(raw))

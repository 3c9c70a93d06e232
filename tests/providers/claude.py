"""Requests and replies that the tests of the Anthropic provider share."""

from __future__ import annotations

import orjson

from sidecar.domain import ChatRequest
from sidecar.providers.anthropic import AnthropicProvider
from sidecar.providers.transport import Transport
from sidecar.wire.anthropic_request import parse_messages_request

from .asking import KEY

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 1},
}
WHOLE = orjson.dumps(MESSAGE)
REFUSAL = b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'
START = {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}}
OPEN = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
SAYS = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
CLOSE = {"type": "content_block_stop", "index": 0}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
OVER = {"type": "message_stop"}
STREAM = [orjson.dumps(event) for event in (START, OPEN, SAYS, CLOSE, END, OVER)]


def provider(url: str, transport: Transport, **other: object) -> AnthropicProvider:
    """A provider at this server."""
    return AnthropicProvider("canary", url, KEY, transport, **other)


def messages(**fields: object) -> ChatRequest:
    """A request in Anthropic's words."""
    turns = [{"role": "user", "content": "Hello"}]
    raw = {"model": "claude", "max_tokens": 10, "messages": turns, **fields}
    return parse_messages_request(orjson.dumps(raw))


def split(request: bytes) -> tuple[str, dict[str, str], dict]:
    """First line, headers and body of what a server was sent."""
    head, body = request.split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), orjson.loads(body)

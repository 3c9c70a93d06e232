"""Anthropic's Messages as a format that clients speak."""

from __future__ import annotations

from sidecar.domain import ChatRequest, Completion, Endpoint
from sidecar.errors import SidecarError
from sidecar.wire.anthropic_errors import build_error
from sidecar.wire.anthropic_reply import message_head, message_tail
from sidecar.wire.anthropic_request import parse_messages_request
from sidecar.wire.anthropic_writer import MessagesWriter


class AnthropicFormat:
    """`POST /v1/messages`."""

    endpoint = Endpoint.MESSAGES

    def parse(self, body: bytes) -> ChatRequest:
        """The request in `body`, or `InvalidRequestError` naming what is wrong."""
        return parse_messages_request(body)

    def new_id(self, request_id: str) -> str:
        """As Anthropic's look."""
        return "msg_" + request_id.removeprefix("req_")

    def head(self, answer_id: str, created: int) -> bytes:
        """The id; Anthropic tells no time."""
        return message_head(answer_id)

    def tail(self, completion: Completion, request: ChatRequest) -> bytes:
        """All else."""
        return message_tail(completion)

    def writer(self, request: ChatRequest) -> MessagesWriter:
        """A writer for one stream."""
        return MessagesWriter()

    def error(self, error: SidecarError) -> bytes:
        """In Anthropic's shape."""
        return build_error(error)

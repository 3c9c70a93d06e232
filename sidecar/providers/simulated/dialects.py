"""The ways of speaking to the simulated provider: OpenAI's chat, Azure's, Anthropic's.

A dialect reads a request into what the engine answers, and puts answers and errors into
its vendor's words. It refuses what that vendor refuses, by name, for a test whose
request no vendor would take proves nothing. Pure: what is sent when is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sidecar.providers.simulated import messages_shape, shape
from sidecar.providers.simulated.engine import Answer
from sidecar.providers.simulated.messages_reading import check_version, read_messages_request
from sidecar.providers.simulated.reading import RefusedError, read_asked, read_object, read_texts
from sidecar.providers.simulated.script import UNSET, Fault


@dataclass(frozen=True, slots=True)
class Posted:
    """What came in: the body, and what of the head and the URL means something."""

    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str]
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, read. `request` is in OpenAI's words, `messages` as they were sent."""

    model: str
    messages: Any
    request: Mapping[str, Any]
    streams: bool
    wants_usage: bool = False


Head = Mapping[str, Any]
"""An answer's id, created (Unix seconds) and model."""


class Dialect(Protocol):
    """One vendor's words. `kind` begins the ids of its answers, `endpoint` is in the ledger."""

    kind: str
    endpoint: str

    def read(self, posted: Posted) -> Asked:
        """The request, or RefusedError."""
        ...

    def whole(
        self, asked: Asked, head: Head, made: Sequence[Answer], prompt_tokens: int, fault: Fault
    ) -> bytes:
        """A whole reply."""
        ...

    def events(
        self, asked: Asked, head: Head, made: Sequence[Answer], prompt_tokens: int, fault: Fault
    ) -> Iterator[shape.Event]:
        """Every event of a stream, in order."""
        ...

    def error(self, status: int, fault: Fault) -> bytes:
        """The body of a scripted failure."""
        ...

    def error_event(self, fault: Fault) -> bytes:
        """A scripted failure in the middle of a stream."""
        ...


class ChatDialect:
    """OpenAI's Chat Completions."""

    kind = "chatcmpl"
    endpoint = "chat"

    def read(self, posted: Posted) -> Asked:
        """A model and a list of messages, at least."""
        return _chat(read_asked(posted.body))

    def whole(
        self, asked: Asked, head: Head, made: Sequence[Answer], prompt_tokens: int, fault: Fault
    ) -> bytes:
        """A `chat.completion`."""
        return shape.whole_body(head, made, prompt_tokens, fault)

    def events(
        self, asked: Asked, head: Head, made: Sequence[Answer], prompt_tokens: int, fault: Fault
    ) -> Iterator[shape.Event]:
        """Chunks, and `[DONE]`."""
        return shape.events(head, made, prompt_tokens, fault, include_usage=asked.wants_usage)

    def error(self, status: int, fault: Fault) -> bytes:
        """OpenAI's error object."""
        default = "rate_limit_exceeded" if status == 429 else None
        code = default if fault.code is UNSET else fault.code
        return shape.error_body(fault.message, fault.error_type or "simulated_error", code)

    def refusal(
        self, status: int, message: str, code: str | None = None, param: str | None = None
    ) -> bytes:
        """OpenAI's error object."""
        return shape.error_body(message, "invalid_request_error", code, param)

    def error_event(self, fault: Fault) -> bytes:
        """An error where a chunk was expected."""
        return b"data: " + self.error(fault.status or 500, fault) + b"\n\n"


class AzureDialect(ChatDialect):
    """Azure's: the model is in the URL, and so is the version, which must be there."""

    endpoint = "azure"

    def read(self, posted: Posted) -> Asked:
        """As OpenAI's, but for the model; the body's own is not looked at."""
        check_api_version(posted)
        return _chat(read_object(posted.body) | {"model": posted.deployment})


class EmbeddingDialect(ChatDialect):
    """OpenAI's embeddings, and Azure's where the URL names a deployment."""

    kind = "embd"
    endpoint = "embeddings"

    def read(self, posted: Posted) -> Asked:
        """The texts stand for the messages, the last of them for what was said last."""
        if posted.deployment:
            check_api_version(posted)
            request = read_object(posted.body) | {"model": posted.deployment}
        else:
            request = read_asked(posted.body)
        texts = read_texts(request.get("input"))
        shape.check_dimensions(request)
        said = {"messages": [{"role": "user", "content": texts[-1]}]}
        return Asked(request["model"], texts, request | said, streams=False)


class MessagesDialect:
    """Anthropic's Messages."""

    kind = "msg"
    endpoint = "messages"

    def read(self, posted: Posted) -> Asked:
        """As strict as Anthropic is about fields, roles and tool results."""
        check_version(posted.headers)
        raw = read_asked(posted.body)
        request = read_messages_request(raw, counts=self.endpoint == "count_tokens")
        return Asked(raw["model"], raw["messages"], request, raw.get("stream") is True)

    def whole(
        self, asked: Asked, head: Head, made: Sequence[Answer], prompt_tokens: int, fault: Fault
    ) -> bytes:
        """A `message`."""
        return messages_shape.whole_body(head, made[0], prompt_tokens, fault)

    def events(
        self, asked: Asked, head: Head, made: Sequence[Answer], prompt_tokens: int, fault: Fault
    ) -> Iterator[shape.Event]:
        """From `message_start` to `message_stop`."""
        return messages_shape.events(head, made[0], prompt_tokens, fault)

    def error(self, status: int, fault: Fault) -> bytes:
        """Anthropic's error object; the script's code stands beside its type."""
        kind = fault.error_type or messages_shape.error_type(status)
        code = None if fault.code is UNSET else fault.code
        return messages_shape.error_body(fault.message, kind, code)

    def refusal(self, status: int, message: str) -> bytes:
        """Anthropic's error object."""
        return messages_shape.error_body(message, messages_shape.error_type(status))

    def error_event(self, fault: Fault) -> bytes:
        """An `error` event."""
        return messages_shape.event("error", self.error(fault.status or 529, fault))


class CountingDialect(MessagesDialect):
    """Anthropic's count of a request's tokens: as its Messages, without a cap and an answer."""

    endpoint = "count_tokens"


def check_api_version(posted: Posted) -> None:
    """Refuse what Azure does not find: a URL without `api-version`."""
    if not posted.query.get("api-version"):
        raise RefusedError("Resource not found: the URL has no api-version", status=404)


def _chat(request: dict[str, Any]) -> Asked:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedError("messages: expected a list that is not empty")
    options = request.get("stream_options")
    wants_usage = isinstance(options, dict) and options.get("include_usage") is True
    streams = request.get("stream") is True
    return Asked(request["model"], messages, request, streams, wants_usage)

"""OpenAI's Chat Completions as a format that clients speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sidecar.domain import ChatRequest, Chunk, Completion, Endpoint, Json, Usage
from sidecar.errors import SidecarError
from sidecar.wire import sse
from sidecar.wire.openai_reply import build_chunk, build_error, completion_head, completion_tail
from sidecar.wire.openai_request import parse_chat_request
from sidecar.wire.openai_usage import BESIDE


class ChatWriter:
    """Chunks as OpenAI sends them, usage last where it was asked for, then `[DONE]`."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._last: Chunk | None = None
        self._beside: Json = None

    def chunk(self, chunk: Chunk) -> bytes:
        """One event; none for a chunk that holds usage alone, which goes out at the end."""
        self._beside = chunk.extra.get(BESIDE) or self._beside
        if not chunk.deltas:
            return b""
        self._last = chunk
        plain = replace(chunk, usage=None) if chunk.usage else chunk
        return sse.encode(build_chunk(plain, include_usage=self._include_usage))

    def end(self, usage: Usage | None, told: Mapping[str, Json]) -> bytes:
        """The usage chunk, where it was asked for and is known, and the end."""
        if not self._include_usage or self._last is None or usage is None:
            return sse.encode(sse.DONE)
        extra = {**self._last.extra, BESIDE: self._beside}
        last = replace(self._last, deltas=(), usage=usage, extra=extra)
        event = build_chunk(last, include_usage=True, extra={"sidecar": told})
        return sse.encode(event) + sse.encode(sse.DONE)

    def error(self, error: SidecarError) -> bytes:
        """An event with `error` instead of choices."""
        return sse.encode(build_error(error))


class OpenAIFormat:
    """`POST /v1/chat/completions`."""

    endpoint = Endpoint.CHAT

    def parse(self, body: bytes) -> ChatRequest:
        """The request in `body`, or `InvalidRequestError` naming what is wrong."""
        return parse_chat_request(body)

    def new_id(self, request_id: str) -> str:
        """As OpenAI's look."""
        return "chatcmpl-" + request_id.removeprefix("req_")

    def head(self, answer_id: str, created: int) -> bytes:
        """Id and time."""
        return completion_head(answer_id, created)

    def tail(self, completion: Completion, request: ChatRequest) -> bytes:
        """All else."""
        return completion_tail(completion)

    def writer(self, request: ChatRequest) -> ChatWriter:
        """A writer for one stream."""
        return ChatWriter(include_usage=request.include_usage)

    def error(self, error: SidecarError) -> bytes:
        """In OpenAI's shape."""
        return build_error(error)

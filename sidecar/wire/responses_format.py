"""OpenAI's Responses as a format that clients speak.

Any chat provider answers what chat can say; the rest is passed on to a provider of this
format (see `responses_native`). Nothing is kept here: an answer can't be asked for again
by its id, nor cancelled or deleted, for only requests that make one are served.
"""

from __future__ import annotations

from sidecar.domain import ChatRequest, Completion, Endpoint
from sidecar.errors import SidecarError
from sidecar.native import NativeRequest
from sidecar.wire.format import EventWriter
from sidecar.wire.openai_reply import build_error
from sidecar.wire.responses_events import ResponsesWriter
from sidecar.wire.responses_native import OWN_PREFIX, native_tail
from sidecar.wire.responses_native_events import NativeWriter
from sidecar.wire.responses_reply import response_head, response_tail
from sidecar.wire.responses_request import ResponsesRequest, parse_responses_request


class ResponsesFormat:
    """`POST /v1/responses`."""

    endpoint = Endpoint.RESPONSES

    def parse(self, body: bytes) -> ResponsesRequest | NativeRequest:
        """The request in `body`, or `InvalidRequestError` naming what is wrong."""
        return parse_responses_request(body)

    def new_id(self, request_id: str) -> str:
        """As OpenAI's look, and one of ours."""
        return OWN_PREFIX + request_id.removeprefix("req_")

    def head(self, answer_id: str, created: int) -> bytes:
        """Id and time."""
        return response_head(answer_id, created)

    def tail(self, completion: Completion, request: ChatRequest) -> bytes:
        """All else."""
        if isinstance(request, NativeRequest):
            return native_tail(completion)
        return response_tail(completion, request)

    def writer(self, request: ChatRequest) -> EventWriter:
        """A writer for one stream."""
        if isinstance(request, NativeRequest):
            return NativeWriter(request)
        return ResponsesWriter(request)

    def error(self, error: SidecarError) -> bytes:
        """In OpenAI's shape."""
        return build_error(error)

"""OpenAI's Responses as a format that clients speak.

Any chat provider answers it. Nothing is kept between requests: an answer's id can't be
asked for again, and each request brings its whole conversation.
"""

from __future__ import annotations

from sidecar.domain import ChatRequest, Completion, Endpoint
from sidecar.errors import SidecarError
from sidecar.wire.openai_reply import build_error
from sidecar.wire.responses_events import ResponsesWriter
from sidecar.wire.responses_reply import response_head, response_tail
from sidecar.wire.responses_request import ResponsesRequest, parse_responses_request


class ResponsesFormat:
    """`POST /v1/responses`."""

    endpoint = Endpoint.RESPONSES

    def parse(self, body: bytes) -> ResponsesRequest:
        """The request in `body`, or `InvalidRequestError` naming what is wrong."""
        return parse_responses_request(body)

    def new_id(self, request_id: str) -> str:
        """As OpenAI's look."""
        return "resp_" + request_id.removeprefix("req_")

    def head(self, answer_id: str, created: int) -> bytes:
        """Id and time."""
        return response_head(answer_id, created)

    def tail(self, completion: Completion, request: ChatRequest) -> bytes:
        """All else."""
        return response_tail(completion, request)

    def writer(self, request: ChatRequest) -> ResponsesWriter:
        """A writer for one stream."""
        return ResponsesWriter(request)

    def error(self, error: SidecarError) -> bytes:
        """In OpenAI's shape."""
        return build_error(error)

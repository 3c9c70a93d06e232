"""Requests that only a provider of the same format can answer, kept in that format's words.

Most requests are put in words that any provider understands. One that asks for what those
words can't say (a conversation kept at the provider, a tool that runs there) is passed on
as it is, to a provider that speaks its format, and is never cached: what it says depends
on more than itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.domain import NOTHING, ChatRequest, Json
from sidecar.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class NativeRequest(ChatRequest):
    """Its `body` is all that was asked but model, stream and labels, which may be changed.

    `because` names the field that no other words can say; `is_stateful` tells that it is
    about what a provider keeps from one request to the next. It has no messages.
    """

    body: Mapping[str, Json] = NOTHING
    because: str = ""
    is_stateful: bool = False


def require_translatable(request: ChatRequest) -> None:
    """Raise `InvalidRequestError` naming the field, where only the request's own words will do."""
    if not isinstance(request, NativeRequest):
        return
    raise InvalidRequestError(
        f"{request.because} can only be asked of a provider that speaks OpenAI's Responses "
        f"(of kind openai): no other target of {request.model} can answer this",
        param=request.because,
    )

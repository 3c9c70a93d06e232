"""How many tokens a request holds: counted here where the tokenizer is known, else asked for.

A count is told only where it is known: for a model whose tokenizer is not shipped and
whose provider can't be asked, the answer is an error that names the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from sidecar.context.requests import count_request
from sidecar.context.tokens import count, encoding_for
from sidecar.domain import ChatRequest, Timeouts
from sidecar.errors import InvalidRequestError
from sidecar.route.table import RouteTable


@runtime_checkable
class TokenCounter(Protocol):
    """A provider that counts tokens. Fails with `UpstreamError`."""

    async def count_tokens(
        self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
    ) -> int:
        """The input tokens of a request to `model`."""
        ...


class Counting:
    """Counts for the model that would answer first. `routes` may be replaced at any time.

    `providers` are all by name, and may change; some of them can be asked for a count.
    """

    def __init__(self, providers: Mapping[str, object], routes: RouteTable) -> None:
        self._providers = providers
        self.routes = routes

    async def count(
        self, request: ChatRequest, *, variant: str | None = None, client_key: str = ""
    ) -> int:
        """The input tokens of a request."""
        route = self.routes.require(request.model, variant)
        target = route.pick(0.0)
        if encoding := encoding_for(target.model):
            # To load an encoding takes a third of a second, to count a long text some more.
            return await asyncio.to_thread(_count, request, encoding)
        counter = self._providers.get(target.provider)
        if not isinstance(counter, TokenCounter):
            raise InvalidRequestError(
                f"tokens can't be counted for the model {request.model}: the tokenizer of "
                f"{target.model} is not known here, and its provider can't be asked",
                param="model",
            )
        return await counter.count_tokens(
            request, target.model, route.timeouts, client_key=client_key
        )


def _count(request: ChatRequest, encoding: str) -> int:
    return count_request(request, lambda text: count(text, encoding))

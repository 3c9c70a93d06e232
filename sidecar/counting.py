"""How many tokens a request holds: counted here where the tokenizer is known, else asked for.

A count is told only where it is known: for a model whose tokenizer is not shipped and
whose provider can't be asked, the answer is an error that names the model. The provider
is asked as for a chat (`Dispatcher.fetch`), but nobody else in its stead: another model's
count would be another number. What comes of it says nothing of the target's health, for
many a server that answers chats well has no such endpoint.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol, runtime_checkable

from sidecar.context.requests import count_request
from sidecar.context.tokens import count, encoding_for
from sidecar.domain import Call, ChatRequest, Outcome, Timeouts
from sidecar.errors import InvalidRequestError
from sidecar.patience import due, patience_until
from sidecar.pipeline import naming_attempts
from sidecar.route.dispatch import Dispatcher
from sidecar.route.table import Route, RouteTable, Target
from sidecar.route.wishes import Provider, Whole
from sidecar.trail import Trail


@runtime_checkable
class TokenCounter(Protocol):
    """A provider that counts tokens. Fails with `UpstreamError`."""

    async def count_tokens(
        self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
    ) -> int:
        """The input tokens of a request to `model`."""
        ...


class Counting:
    """Counts for the model that would answer first. `routes` may be replaced at any time."""

    def __init__(self, dispatcher: Dispatcher, routes: RouteTable) -> None:
        self._dispatcher = dispatcher
        self.routes = routes

    async def count(self, call: Call, trail: Trail) -> int:
        """The input tokens of a call's request, within the caller's own limit."""
        trail.outcome = Outcome.BYPASS
        route = self.routes.require(call.request.model, call.route)
        trail.variant = route.variant
        target = route.pick(0.0)
        with naming_attempts(trail):
            async with patience_until(due(call.timeout_s, trail.elapsed_ms)):
                if encoding := encoding_for(target.model):
                    trail.note("count", "here", {"encoding": encoding})
                    return await _counted_here(call.request, encoding)
                with trail.waiting():
                    return await self._ask(call, route, target, trail)

    async def _ask(self, call: Call, route: Route, target: Target, trail: Trail) -> int:
        alone = replace(route, targets=(target,), fallbacks=())
        given = await self._dispatcher.fetch(_wish(call, route), call, alone, trail.attempts)
        trail.answered(target.model, target.provider, tuple(trail.attempts), None)
        return given.answer


def _wish(call: Call, route: Route) -> Whole[int]:
    """The count, of a provider that counts."""

    async def ask(provider: Provider, target: Target) -> int:
        if not isinstance(provider, TokenCounter):
            raise InvalidRequestError(
                f"tokens can't be counted for the model {route.name}: the tokenizer of "
                f"{target.model} is not known here, and its provider can't be asked",
                param="model",
            )
        return await provider.count_tokens(
            call.request, target.model, route.timeouts, client_key=call.client_key
        )

    return Whole(ask, tells_health=False)


async def _counted_here(request: ChatRequest, encoding: str) -> int:
    """To load an encoding takes a third of a second, to count a long text some more."""
    return await asyncio.to_thread(count_request, request, lambda text: count(text, encoding))

"""Asks a route's targets for embeddings, one after the other, and records every attempt.

Each target is asked once. Vectors of two models can't be compared, so a fallback is asked
only where its model has the target's name; a route's own targets may all answer, for
config says that they are one model. What nobody else would answer either, the caller's
own fault, ends it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from random import random
from typing import Any, NamedTuple, Protocol, runtime_checkable

from sidecar.clock import Clock
from sidecar.domain import Attempt, Call, Timeouts
from sidecar.errors import InvalidRequestError, UpstreamError, UpstreamRefusedError
from sidecar.route.table import Route, Target
from sidecar.trail import Trail
from sidecar.wire.embeddings import Embedded, EmbeddingRequest, Item

_BUSY = 429


@runtime_checkable
class Embedder(Protocol):
    """One way to reach embedding models. Fails with `UpstreamError`."""

    async def embed(
        self,
        request: EmbeddingRequest,
        model: str,
        items: Sequence[Item],
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> Embedded:
        """One vector for each of `items`, in their order."""
        ...


class Choice(NamedTuple):
    """One who may be asked."""

    target: Target
    provider: Embedder
    is_fallback: bool


class Answered(NamedTuple):
    """An answer, and who gave it."""

    embedded: Embedded
    target: Target
    is_fallback: bool


class EmbeddingTargets:
    """`providers` are all by name, and may change; some of them make embeddings."""

    def __init__(self, providers: Mapping[str, object], clock: Clock) -> None:
        self._providers = providers
        self._clock = clock

    async def ask(
        self,
        call: Call,
        request: EmbeddingRequest,
        items: Sequence[Item],
        route: Route,
        trail: Trail,
    ) -> Answered:
        """The first answer; else the last failure, with every attempt named in it."""
        failed: UpstreamError | None = None
        with trail.waiting():
            for choice in self.plan(call, route):
                errand = choice.provider.embed(
                    request, choice.target.model, items, route.timeouts,
                    client_key=call.client_key,
                )  # fmt: skip
                try:
                    embedded = await self._attempt(errand, choice.target, trail)
                except UpstreamError as error:
                    error.attempts = tuple(trail.attempts)
                    if _is_callers_fault(error):
                        raise
                    failed = error
                else:
                    _note(trail, choice.target, embedded)
                    return Answered(embedded, choice.target, choice.is_fallback)
        raise failed or _no_embeddings(route)

    def plan(self, call: Call, route: Route) -> Iterator[Choice]:
        """Who is asked, in this order."""
        tag = getattr(call.caller, route.sticky, "") if route.sticky else ""
        first = route.pick(route.draw_of(tag) if tag else random())  # noqa: S311  spreads load
        others = [t for t in route.targets if t != first and t.weight > 0]
        fallbacks = [t for t in route.fallbacks if t.model == first.model]
        for target in (first, *others, *fallbacks):
            provider = self._providers.get(target.provider)
            if isinstance(provider, Embedder):
                yield Choice(target, provider, target in fallbacks)

    async def _attempt(
        self, errand: Coroutine[Any, Any, Embedded], target: Target, trail: Trail
    ) -> Embedded:
        began = self._clock.tick()
        status, reason = None, "internal"
        try:
            embedded = await errand
            status, reason = 200, "ok"
        except UpstreamError as error:
            status, reason = error.upstream_status, error.reason
            raise
        except asyncio.CancelledError:
            reason = "cancelled"
            raise
        finally:
            ms = round((self._clock.tick() - began) * 1e3, 3)
            trail.attempts.append(Attempt(target.provider, target.model, status, reason, ms))
        return embedded


def _note(trail: Trail, target: Target, embedded: Embedded) -> None:
    model = embedded.model or target.model
    trail.answered(model, target.provider, tuple(trail.attempts), embedded.usage)


def _is_callers_fault(error: UpstreamError) -> bool:
    """Nobody else would answer it either. One that is only busy says nothing of the others."""
    return isinstance(error, UpstreamRefusedError) and error.upstream_status != _BUSY


def _no_embeddings(route: Route) -> InvalidRequestError:
    names = ", ".join(dict.fromkeys(target.provider for target in route.targets))
    return InvalidRequestError(
        f"the model {route.name} makes no embeddings here: its provider ({names}) has no such API",
        param="model",
    )

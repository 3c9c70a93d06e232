"""How long a caller waits: its own limit, to the last word of its answer.

What it waits for may go on for others. Only waits are under the limit, never what is done
with what came: a time-out that struck while a reader writes would look like its own end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TypeVar

from sidecar.errors import UpstreamTimeoutError

T = TypeVar("T")


def due(limit_s: float | None, waited_ms: float = 0.0) -> float | None:
    """When a limit is over, by the event loop's time; None where there is none."""
    if limit_s is None:
        return None
    return asyncio.get_running_loop().time() + limit_s - waited_ms / 1e3


def patience(limit_s: float | None) -> AbstractAsyncContextManager[None]:
    """`patience_until` the end of a limit that begins now."""
    return patience_until(due(limit_s))


@asynccontextmanager
async def patience_until(by: float | None) -> AsyncIterator[None]:
    """What is waited for inside comes by then, or `UpstreamTimeoutError`."""
    limit = asyncio.timeout_at(by)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise UpstreamTimeoutError(
            "no whole answer came within x-sidecar-timeout-ms", reason="timeout_client"
        ) from None


def hurried(pieces: AsyncGenerator[T, None], by: float | None) -> AsyncGenerator[T, None]:
    """The pieces as they come, for a caller whose limit counts for the last one too."""
    return pieces if by is None else _hurried(pieces, by)


async def _hurried(pieces: AsyncGenerator[T, None], by: float) -> AsyncGenerator[T, None]:
    async with aclosing(pieces):
        while True:
            async with patience_until(by):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece

"""What the queue's tests wait for, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sidecar.embed import EmbeddingQueue, Unembeddable
from sidecar.reasons import Reason
from tests.embed.embedders import Held

LONG_S = 30.0  # longer than any test takes
SHORT_S = 0.05


async def started(held: Held) -> None:
    """Return once a run waits in the embedder."""
    await asyncio.to_thread(held.started.wait)


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop turns until the condition holds; pytest's own limit bounds it."""
    while not condition():
        await asyncio.sleep(0)


async def refusal(queue: EmbeddingQueue, text: str) -> Reason:
    """Why `text` gets no vector."""
    with pytest.raises(Unembeddable) as refused:
        await queue.embed(text)
    return refused.value.reason

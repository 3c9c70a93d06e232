"""Makes entries, vectors and caches for the tests of this folder, and asks what is near."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from sidecar.cache.entry import Entry
from sidecar.cache.eviction import Caps
from sidecar.cache.semantic import Vector
from sidecar.cache.tiers import Cache
from sidecar.clock import Clock, ManualClock
from sidecar.domain import Choice, Completion, Usage
from sidecar.events import Event, Observers
from sidecar.tasks import Tasks

DIMENSION = 16
NOW = 1_700_000_000.0
HOUR = 3600.0
ANYTHING = -1.0  # a floor that nothing is below


def digest(word: object) -> bytes:
    """32 bytes that follow from `word`."""
    return sha256(str(word).encode()).digest()


def completion(text: str) -> Completion:
    """A whole answer."""
    choice = Choice(0, text, "stop")
    return Completion("chatcmpl-1", 1_700_000_000, "gpt-4o-2024", (choice,), Usage(3, 5))


def entry(
    word: object = "a", *, text: str | None = None, scope: str = "s", **changes: Any
) -> Entry:
    """An entry whose digests, question and answer follow from `word`."""
    made = Entry(
        id=digest(f"id {word}").hex()[:16],
        key=digest(f"key {word} {scope}"),
        scope=digest(scope),
        question=f"question {word}?",
        completion=completion(f"answer {word}" if text is None else text),
        model="gpt-4o",
        answered_model="gpt-4o-2024",
        provider="openai",
        tenant="shop",
        user="ann",
        prompt="",
        tags=(),
        created_at=NOW,
        expires_at=NOW + HOUR,
        value=500.0,
    )
    return replace(made, **changes)


def vector(word: object = "a", dimension: int = DIMENSION) -> Vector:
    """A unit vector of float32 that follows from `word`; two words' are hardly ever near."""
    drawn = np.random.default_rng(list(digest(word))).standard_normal(dimension)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def noise(seed: int, length: int) -> str:
    """Text that doesn't repeat itself."""
    return "".join(random.Random(seed).choices("abcdefghijklmnop ", k=length))  # noqa: S311 - no secret


def break_file(path: Path) -> None:
    """Overwrite all of a database but its first page, also for who has it open."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


@asynccontextmanager
async def opened(
    path: Path | None,
    *,
    clock: Clock | None = None,
    told: list[Event] | None = None,
    embedding_model: str = "mini",
    dimension: int = DIMENSION,
    filled: bool = True,
    keep_stale_s: float = 0.0,
    **caps: int,
) -> AsyncIterator[Cache]:
    """A cache that is open, and closed afterwards."""
    tasks = Tasks()
    cache = Cache(
        path=path,
        embedding_model=embedding_model,
        dimension=dimension,
        caps=Caps(**caps),
        clock=clock or ManualClock(NOW),
        tasks=tasks,
        observers=Observers((lambda event: None) if told is None else told.append),
        keep_stale_s=keep_stale_s,
    )
    await cache.open()
    try:
        if filled:
            await cache.filled()
        yield cache
    finally:
        await cache.close()
        await tasks.close()


async def near(cache: Cache, word: object = "a", scope: str = "s", **limits: float) -> list[str]:
    """The answers to what is near a word, best first."""
    k, floor = int(limits.get("k", 4)), limits.get("floor", 0.99)
    found = await cache.nearest(digest(scope), vector(word), k=k, floor=floor)
    return [each.entry.completion.choices[0].text or "" for each in found]

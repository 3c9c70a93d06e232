"""Places for answers, and what the tests of their store do with it and its file."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sidecar.idempotency.recorded import Place, place_of
from sidecar.idempotency.store import AnswerStore

A, B = place_of("shop", "ann", "", "a"), place_of("shop", "bob", "", "b")
C = place_of("other", "ann", "", "c")


def places(count: int) -> list[Place]:
    """Places of one tenant."""
    return [place_of("t", "", "", str(number)) for number in range(count)]


async def kept(store: AnswerStore, *asked: Place) -> list[bool]:
    """Which of the places have an answer."""
    return [await store.get(place) is not None for place in asked]


def place_of_digest(digest: bytes) -> Place:
    """A place that no client has."""
    return Place(digest, "", "")


def rows(path: Path) -> int:
    """How many answers are in the file."""
    with closing(sqlite3.connect(path)) as file:
        return file.execute("SELECT count(*) FROM answers").fetchone()[0]


def on_disk(path: Path) -> bytes:
    """All bytes of the file and its journals."""
    return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))


async def swept(store: AnswerStore) -> None:
    """One round of its expiry."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await store.expire()


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """No file of this process may grow, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

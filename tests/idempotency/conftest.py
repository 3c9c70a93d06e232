"""What the tests of idempotency share: a file, a store on it, an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sidecar.idempotency.recorded import Recorded
from sidecar.idempotency.store import AnswerStore


@pytest.fixture
def path(tmp_path) -> Path:
    """Where answers live."""
    return tmp_path / "answers.sqlite"


@pytest.fixture
async def make(path, clock) -> AsyncIterator[Callable[..., AnswerStore]]:
    """A store on that file, closed with the test."""
    async with AsyncExitStack() as stack:

        def build(**limits: float) -> AnswerStore:
            store = AnswerStore(path, clock, **limits)
            stack.push_async_callback(store.close)
            return store

        yield build


@pytest.fixture
def answer() -> Callable[..., Recorded]:
    """An answer with this body."""

    def build(body: bytes = b'{"a": 1}', asked: bytes = b"asked") -> Recorded:
        return Recorded(asked, "req_1", {"x-sidecar-request-id": "req_1", "x-a": "é"}, body)

    return build

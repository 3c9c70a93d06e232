from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from sidecar.clock import ManualClock
from sidecar.embed import EmbeddingQueue, Vector
from sidecar.embed.onnx import OnnxEmbedder
from sidecar.reasons import Reason
from tests.embed.embedders import Hashed, Held, Raising, Wrong
from tests.embed.waiting import LONG_S, SHORT_S, refusal, started, until


async def test_gives_the_embedders_vector(minilm: OnnxEmbedder) -> None:
    """The queue adds nothing to a vector and takes nothing away."""
    queue = EmbeddingQueue(minilm, timeout_s=LONG_S)
    vector = await queue.embed("How do I reset my password?")
    assert vector.tobytes() == minilm.embed("How do I reset my password?").tobytes()
    queue.close()


async def test_vectors_are_the_same_bits_in_a_crowd(minilm: OnnxEmbedder) -> None:
    """One text alone, and beside 15 others in the queue at once."""
    texts = [f"Question number {n} about my account" for n in range(16)]
    queue = EmbeddingQueue(minilm, timeout_s=LONG_S, memo_size=0)
    alone = [(await queue.embed(text)).tobytes() for text in texts]
    crowd = await asyncio.gather(*map(queue.embed, texts))
    assert [vector.tobytes() for vector in crowd] == alone
    queue.close()


async def test_texts_are_embedded_in_the_order_they_came(held: Held) -> None:
    """First come, first served."""
    queue = EmbeddingQueue(held, timeout_s=LONG_S)
    calls = [asyncio.ensure_future(queue.embed(text)) for text in "abcdef"]
    await started(held)
    held.go.set()
    await asyncio.gather(*calls)
    assert held.runs == list("abcdef")
    queue.close()


async def test_a_known_text_costs_no_run() -> None:
    """The memo answers the second time."""
    embedder = Hashed()
    queue = EmbeddingQueue(embedder, timeout_s=LONG_S)
    first, second = await queue.embed("a"), await queue.embed("a")
    assert first is second
    assert embedder.runs == ["a"]
    queue.close()


async def test_the_memo_forgets() -> None:
    """Past its size the least recently used text is embedded anew."""
    embedder = Hashed()
    queue = EmbeddingQueue(embedder, timeout_s=LONG_S, memo_size=1)
    for text in "aba":
        await queue.embed(text)
    assert embedder.runs == ["a", "b", "a"]
    queue.close()


async def test_a_vector_is_read_only() -> None:
    """Callers share the array, so none may change it."""
    queue = EmbeddingQueue(Hashed(), timeout_s=LONG_S)
    vector = await queue.embed("a")
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 0
    queue.close()


async def test_equal_texts_share_one_run(held: Held) -> None:
    """Those who come while it waits, and those who come while it runs."""
    queue = EmbeddingQueue(held, timeout_s=LONG_S, memo_size=0)
    calls = [asyncio.ensure_future(queue.embed("a"))]
    await started(held)
    calls += [asyncio.ensure_future(queue.embed(text)) for text in "aabb"]
    await until(lambda: queue.waiting == 5)
    held.go.set()
    await asyncio.gather(*calls)
    assert held.runs == ["a", "b"]
    queue.close()


async def test_a_stuck_model_costs_a_deadline_and_the_loop_goes_on(held: Held) -> None:
    """The caller gets its reason by the deadline while other work is done."""
    queue = EmbeddingQueue(held, timeout_s=SHORT_S)
    call = asyncio.ensure_future(refusal(queue, "a"))
    turns = 0
    while not call.done():
        await asyncio.sleep(0)
        turns += 1
    assert await call is Reason.EMBED_TIMEOUT
    assert turns > 10
    queue.close()


async def test_behind_a_stuck_run_nobody_waits(held: Held) -> None:
    """Once a run is older than a deadline, the next callers are refused at once."""
    clock = ManualClock()
    queue = EmbeddingQueue(held, timeout_s=LONG_S, clock=clock)
    first = asyncio.ensure_future(queue.embed("a"))
    await started(held)
    clock.advance(LONG_S + 1)
    assert await refusal(queue, "b") is Reason.EMBED_TIMEOUT
    assert queue.waiting == 1
    held.go.set()
    await first
    assert (await queue.embed("b")).shape == (8,)
    queue.close()


@pytest.mark.parametrize(
    "vector",
    [
        np.full(8, np.nan, dtype=np.float32),
        np.full(8, np.inf, dtype=np.float32),
        np.zeros(8, dtype=np.float32),
        np.ones(8, dtype=np.float32),
        np.ones(4, dtype=np.float32) / 2,
    ],
    ids=["nan", "infinite", "zero", "not of unit length", "of another dimension"],
)
async def test_a_broken_vector_is_refused_and_not_remembered(vector: Vector) -> None:
    """Whatever a backend gives out, only a unit vector leaves the queue."""
    embedder = Wrong(vector)
    queue = EmbeddingQueue(embedder, timeout_s=LONG_S)
    for _ in range(2):
        assert await refusal(queue, "a") is Reason.EMBED_FAILED
    assert embedder.runs == ["a", "a"]
    queue.close()


async def test_a_backend_that_raises_does_not_end_the_worker() -> None:
    """The failed text has a reason, the next one a vector."""
    queue = EmbeddingQueue(Raising(), timeout_s=LONG_S)
    assert await refusal(queue, "a") is Reason.EMBED_FAILED
    assert (await queue.embed("b")).shape == (8,)
    queue.close()


async def test_a_refusal_keeps_its_reason(minilm: OnnxEmbedder) -> None:
    """The embedder's own word reaches every caller."""
    queue = EmbeddingQueue(minilm, timeout_s=LONG_S)
    reasons = await asyncio.gather(*(refusal(queue, "word " * 255) for _ in range(3)))
    assert reasons == [Reason.TOO_LONG] * 3
    queue.close()


async def test_close_ends_the_thread() -> None:
    """No thread is left when nothing is stuck."""
    queue = EmbeddingQueue(Hashed(), timeout_s=LONG_S)
    await queue.embed("a")
    threads = {thread.ident for thread in threading.enumerate() if thread.name == "embed"}
    queue.close()
    left = {thread.ident for thread in threading.enumerate() if thread.name == "embed"}
    assert len(threads - left) == 1


async def test_close_leaves_a_stuck_run_behind(held: Held) -> None:
    """Closing returns although the model never does, and those in line are told."""
    queue = EmbeddingQueue(held, timeout_s=LONG_S)
    stuck = asyncio.ensure_future(queue.embed("a"))
    await started(held)
    line = asyncio.ensure_future(refusal(queue, "b"))
    await until(lambda: queue.waiting == 2)
    queue.close(wait_s=0.01)
    assert await line is Reason.EMBED_FAILED
    assert not stuck.done()
    held.go.set()
    await stuck


async def test_a_closed_queue_refuses() -> None:
    """After `close` there is a reason, not a wait."""
    queue = EmbeddingQueue(Hashed(), timeout_s=LONG_S)
    queue.close()
    assert await refusal(queue, "a") is Reason.EMBED_FAILED


async def test_closing_twice_is_closing_once() -> None:
    """A second close does nothing."""
    queue = EmbeddingQueue(Hashed(), timeout_s=LONG_S)
    queue.close()
    queue.close()

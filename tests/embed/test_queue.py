from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from sidecar.clock import ManualClock
from sidecar.embed import EmbeddingQueue, Unembeddable, Vector
from sidecar.embed.onnx import OnnxEmbedder
from sidecar.reasons import Reason
from tests.embed.embedders import Hashed, Held, Raising, Wrong

LONG_S = 30.0  # longer than any test takes
SHORT_S = 0.05


async def started(held: Held) -> None:
    """Return once a run waits in the embedder."""
    await asyncio.to_thread(held.started.wait)


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop turns until the condition holds; pytest's own limit bounds it."""
    while not condition():  # noqa: ASYNC110 - the condition is the product's own state
        await asyncio.sleep(0)


async def refusal(queue: EmbeddingQueue, text: str) -> Reason:
    """Why `text` gets no vector."""
    with pytest.raises(Unembeddable) as refused:
        await queue.embed(text)
    return refused.value.reason


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


async def test_a_cancelled_waiter_costs_no_run(held: Held) -> None:
    """A client that left before its turn is dropped; the others get theirs."""
    queue = EmbeddingQueue(held, timeout_s=LONG_S)
    first = asyncio.ensure_future(queue.embed("a"))
    await started(held)
    leaving, staying = (asyncio.ensure_future(queue.embed(text)) for text in "bc")
    await until(lambda: queue.waiting == 3)
    leaving.cancel()
    await asyncio.wait([leaving])
    held.go.set()
    await asyncio.gather(first, staying)
    assert held.runs == ["a", "c"]
    queue.close()


async def test_a_cancelled_waiter_does_not_take_others_along(held: Held) -> None:
    """Of two who share a run, one may leave."""
    queue = EmbeddingQueue(held, timeout_s=LONG_S)
    leaving, staying = (asyncio.ensure_future(queue.embed("a")) for _ in range(2))
    await started(held)
    leaving.cancel()
    await asyncio.wait([leaving])
    held.go.set()
    assert (await staying).shape == (8,)
    queue.close()


async def test_a_text_past_its_deadline_costs_no_run(held: Held) -> None:
    """Also when the loop was too busy to tell the worker: the worker looks at its clock."""
    clock = ManualClock()
    queue = EmbeddingQueue(held, timeout_s=LONG_S, clock=clock)
    first = asyncio.ensure_future(queue.embed("a"))
    await started(held)
    late = asyncio.ensure_future(queue.embed("b"))
    await until(lambda: queue.waiting == 2)
    clock.advance(LONG_S + 1)
    held.go.set()
    await first
    # The next text is run, so "b" was passed over.
    await queue.embed("c")
    assert held.runs == ["a", "c"]
    late.cancel()
    queue.close()


async def test_a_full_queue_refuses_at_once(held: Held) -> None:
    """More callers than `max_waiting` are refused, and the first to go makes room."""
    queue = EmbeddingQueue(held, timeout_s=LONG_S, max_waiting=2)
    calls = [asyncio.ensure_future(queue.embed(text)) for text in "ab"]
    await until(lambda: queue.waiting == 2)
    assert await refusal(queue, "c") is Reason.EMBED_BUSY
    calls[1].cancel()
    await asyncio.wait([calls[1]])
    held.go.set()
    assert (await queue.embed("c")).shape == (8,)
    await calls[0]
    queue.close()


async def test_callers_who_left_leave_nothing_behind(held: Held) -> None:
    """A thousand cancelled calls behind a stuck run are not kept."""
    queue = EmbeddingQueue(held, timeout_s=LONG_S)
    first = asyncio.ensure_future(queue.embed("a"))
    await started(held)
    for n in range(1000):
        call = asyncio.ensure_future(queue.embed(f"text {n}"))
        await until(lambda: queue.waiting == 2)
        call.cancel()
        await asyncio.wait([call])
    assert queue.waiting == 1
    held.go.set()
    await first
    await queue.embed("last")
    assert held.runs == ["a", "last"]
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


def test_a_loop_that_closed_does_not_end_the_worker(held: Held) -> None:
    """A caller whose loop is gone can't be told; the next loop is served."""
    queue = EmbeddingQueue(held, timeout_s=SHORT_S, memo_size=0)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(refusal(queue, "a")) is Reason.EMBED_TIMEOUT
    loop.close()
    held.go.set()

    async def again() -> Vector:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                return await queue.embed("b")
            except Unembeddable:
                await asyncio.sleep(0)
        raise AssertionError("the worker is gone")

    assert asyncio.run(again()).shape == (8,)
    queue.close()

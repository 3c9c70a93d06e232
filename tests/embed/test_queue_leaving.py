"""Callers who leave: cancelled, past their deadline, turned away, or gone with their loop."""

from __future__ import annotations

import asyncio

from sidecar.clock import ManualClock
from sidecar.embed import EmbeddingQueue
from sidecar.reasons import Reason
from tests.embed.embedders import Held
from tests.embed.waiting import LONG_S, refusal, started, until


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
    assert (queue.waiting, queue.queued) == (1, 0)
    held.go.set()
    await first
    await queue.embed("last")
    assert held.runs == ["a", "last"]
    queue.close()


def test_a_loop_that_closed_does_not_end_the_worker(held: Held) -> None:
    """A caller whose loop is gone can't be told; the next loop is served."""
    queue = EmbeddingQueue(held, timeout_s=LONG_S)
    loop = asyncio.new_event_loop()
    call = loop.create_task(queue.embed("a"))
    loop.run_until_complete(started(held))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    held.go.set()
    assert asyncio.run(queue.embed("b")).shape == (8,)
    call.get_coro().close()  # it never ends by itself, and would be reported
    queue.close()

"""One line a request, and never what was asked or by whom."""

import asyncio
import io

import orjson
import pytest

from sidecar.clock import ManualClock
from sidecar.domain import Outcome
from sidecar.events import EntriesEvicted
from sidecar.observe.request_log import MAX_PENDING, RequestLog
from sidecar.trail import Trail


async def logged(*events, readable=False) -> list[str]:
    """The lines that the events leave."""
    stream = io.StringIO()
    log = RequestLog(stream, readable=readable)
    for event in events:
        log.observe(event)
    await log.close()
    return stream.getvalue().splitlines()


async def test_a_request_is_one_line_of_json(make_row):
    """With the fields that an operator filters by."""
    row = make_row(outcome="miss", reason="not_found", total_ms=12.345)
    (line,) = map(orjson.loads, await logged(row))
    told = (line["level"], line["request_id"], line["cache"], line["reason"], line["ms"])
    assert told == ("info", "req_1", "miss", "not_found", 12.35)


async def test_text_is_for_readers(make_row):
    """One short line."""
    (line,) = await logged(make_row(reason="not_found"), readable=True)
    assert line.endswith("req_1 200 miss gpt-4o (not_found) 0.0 ms")


async def test_other_events_are_not_logged():
    """Evictions are for metrics."""
    assert await logged(EntriesEvicted("expired", 1)) == []


async def test_lines_are_written_without_waiting_for_the_end(make_row):
    """A thread writes them a moment later, while the process goes on."""
    stream = io.StringIO()
    log = RequestLog(stream, readable=True)
    log.observe(make_row())
    async with asyncio.timeout(10):
        while "req_1" not in stream.getvalue():
            await asyncio.sleep(0.01)
    await log.close()


async def test_a_stream_that_nobody_reads_costs_lines_and_nothing_else(make_row):
    """A broken observer is nothing."""
    stream = io.StringIO()
    log = RequestLog(stream, readable=True)
    log.observe(make_row())
    stream.close()
    await log.close()
    assert log.dropped == 1


async def test_what_doesnt_fit_the_queue_is_dropped_with_a_count(make_row):
    """A blocked log can't fill the memory."""
    log = RequestLog(io.StringIO(), readable=True)
    row = make_row()
    for _ in range(MAX_PENDING + 3):
        log.observe(row)
    assert log.dropped == 3
    await log.close()


@pytest.mark.parametrize("readable", [True, False])
async def test_neither_question_nor_label_is_ever_in_a_line(make_call, readable):
    """A whole request with a secret in every input leaves none of them in the log."""
    call = make_call(
        "canary-question", unknown={"x": "canary-field"}, labels={"user": "canary-label"}
    )
    trail = Trail(call, ManualClock())
    trail.understood(b"s", b"k", "targets")
    trail.hit(Outcome.SEMANTIC, "e1", "gpt-4o", "openai")
    (line,) = await logged(trail.close(200), readable=readable)
    assert "canary" not in line


@pytest.mark.parametrize("field", ["user", "tenant", "session", "department", "feature"])
async def test_who_asked_stands_in_the_ledger_and_not_in_the_log(make_row, field):
    """A line names the request; its row names the caller."""
    (line,) = await logged(make_row(**{field: "canary"}))
    assert "canary" not in line


async def test_a_name_can_not_forge_a_line(make_call):
    """A model's name with a line break in it stays in its line."""
    call = make_call(model="x\n00:00:00 INFO    req_0 200 forged")
    assert len(await logged(Trail(call, ManualClock()).close(404), readable=True)) == 1

"""Answers as server-sent events: live chunks as they come, stored answers as if they did.

A stream that fails ends with a typed error event and never with a clean end, so that no
client takes half an answer for a whole one.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from aiohttp import web

from sidecar.dollars import dollars
from sidecar.domain import Chunk, Completion, Json
from sidecar.errors import SidecarError
from sidecar.trail import Trail
from sidecar.wire.assemble import replay
from sidecar.wire.format import EventWriter

_log = logging.getLogger(__name__)
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # or nginx would hold chunks back
}


def replayed(
    completion: Completion, trail: Trail, writer: EventWriter, head: Mapping[str, str]
) -> web.Response:
    """A whole answer as the stream that the client asked for, in one write."""
    events = [writer.chunk(chunk) for chunk in replay(completion)]
    trail.first_token()
    trail.usage = trail.usage or completion.usage
    events.append(writer.end(trail.usage, told_at_end(trail)))
    return web.Response(body=b"".join(events), headers={**head, **HEADERS})


async def write_live(
    http: web.Request,
    trail: Trail,
    chunks: AsyncGenerator[Chunk, None],
    writer: EventWriter,
    head: Mapping[str, str],
) -> web.StreamResponse:
    """Pass the chunks on one by one."""
    response = web.StreamResponse(headers={**head, **HEADERS})
    await response.prepare(http)
    async with aclosing(live_events(trail, chunks, writer)) as events:
        async for event in events:
            await response.write(event)
    await response.write_eof()
    return response


async def live_events(
    trail: Trail, chunks: AsyncGenerator[Chunk, None], writer: EventWriter
) -> AsyncGenerator[bytes, None]:
    """The chunks as they are written. Where they fail, `trail.error` tells so afterwards."""
    try:
        async with aclosing(chunks):  # here and now, not by a task of the garbage collector's
            async for chunk in chunks:
                if event := writer.chunk(chunk):
                    yield event
                if trail.first_token_ms is None and any(d.has_content for d in chunk.deltas):
                    trail.first_token()
        yield writer.end(trail.usage, told_at_end(trail))
    except Exception as error:  # a bug too must not look like an end, nor like a new reply
        yield writer.error(told(error, trail))


def told(error: Exception, trail: Trail) -> SidecarError:
    """What the client hears of an error that came after the head; one of ours is logged."""
    if not isinstance(error, SidecarError):
        _log.error("unexpected error in a stream", exc_info=error)
        error = SidecarError("an internal error; the log has the details")
    trail.error = error.code
    return error


def told_at_end(trail: Trail) -> dict[str, Json]:
    """What a stream's head could not tell yet."""
    return {
        "request_id": trail.call.id,
        "cache": trail.outcome.value,
        "stored": trail.stored,
        "reason": trail.reason or trail.store_reason,
        "model": trail.answered_model,
        "provider": trail.answered_provider,
        "attempts": len(trail.attempts),
        "cost_usd": None if trail.cost_nanousd is None else dollars(trail.cost_nanousd),
        "saved_usd": dollars(trail.saved_nanousd),
        "degraded": trail.degraded,
    }

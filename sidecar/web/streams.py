"""Answers as server-sent events: live chunks as they come, stored answers as if they did.

A stream that fails ends with a typed error event and never with a clean end, so that no
client takes half an answer for a whole one.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace

from aiohttp import web

from sidecar.domain import Chunk, Completion, Json
from sidecar.errors import SidecarError
from sidecar.reply import Reply
from sidecar.trail import Trail
from sidecar.wire import sse
from sidecar.wire.assemble import replay
from sidecar.wire.openai_reply import build_chunk, build_error

_log = logging.getLogger(__name__)
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # or nginx would hold chunks back
}


def replayed(completion: Completion, trail: Trail, head: Mapping[str, str]) -> web.Response:
    """A whole answer as the stream that the client asked for, in one write."""
    include_usage = trail.call.request.include_usage
    chunks = [c for c in replay(completion) if c.deltas]
    events = [sse.encode(build_chunk(chunk, include_usage=include_usage)) for chunk in chunks]
    trail.first_token()
    trail.usage = trail.usage or completion.usage
    events += last_events(trail, chunks[-1] if chunks else None)
    return web.Response(body=b"".join(events), headers={**head, **HEADERS})


async def write_live(
    http: web.Request, reply: Reply, chunks: AsyncIterator[Chunk], head: Mapping[str, str]
) -> web.StreamResponse:
    """Pass the chunks on one by one."""
    response = web.StreamResponse(headers={**head, **HEADERS})
    await response.prepare(http)
    trail, last = reply.trail, None
    include_usage = trail.call.request.include_usage
    try:
        async for chunk in chunks:
            if not chunk.deltas:
                continue  # usage goes out once, at the end
            last = chunk
            plain = replace(chunk, usage=None) if chunk.usage else chunk
            await response.write(sse.encode(build_chunk(plain, include_usage=include_usage)))
            if trail.first_token_ms is None and any(d.has_content for d in chunk.deltas):
                trail.first_token()
        for event in last_events(trail, last):
            await response.write(event)
    except ConnectionResetError:
        raise  # nobody is there to be told
    except Exception as error:  # a bug too must not look like an end, nor like a new reply
        await response.write(sse.encode(build_error(told(error, trail))))
    await response.write_eof()
    return response


def told(error: Exception, trail: Trail) -> SidecarError:
    """What the client hears of an error that came after the head; one of ours is logged."""
    if not isinstance(error, SidecarError):
        _log.error("unexpected error in a stream", exc_info=error)
        error = SidecarError("an internal error; the log has the details")
    trail.error = error.code
    return error


def last_events(trail: Trail, last: Chunk | None) -> Iterator[bytes]:
    """The usage chunk, where it was asked for and is known, and the end."""
    if trail.call.request.include_usage and last is not None and trail.usage is not None:
        usage = replace(last, deltas=(), usage=trail.usage)
        extra = {"sidecar": told_at_end(trail)}
        yield sse.encode(build_chunk(usage, include_usage=True, extra=extra))
    yield sse.encode(sse.DONE)


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
    }

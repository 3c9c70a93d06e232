"""A recorded answer, or one that is being recorded, given to whoever came with its key."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from sidecar.domain import Outcome
from sidecar.idempotency.once import AnswerFlight
from sidecar.idempotency.recorded import Recorded
from sidecar.pipeline import patience
from sidecar.trail import Trail
from sidecar.web.heads import REPLAYED, REQUEST_ID
from sidecar.web.streams import told
from sidecar.wire.format import Format


async def give(
    http: web.Request, trail: Trail, flight: AnswerFlight, format_: Format
) -> web.StreamResponse:
    """The answer of a flight: a stream as it comes, all else when it is there."""
    async with patience(trail.call.timeout_s):
        await flight.departure()
    if flight.has_events:
        return await _follow(http, trail, flight, format_)
    answer = await flight.result()
    return web.Response(body=answer.body, headers=given_head(answer.head, trail))


async def _follow(
    http: web.Request, trail: Trail, flight: AnswerFlight, format_: Format
) -> web.StreamResponse:
    response = web.StreamResponse()
    try:
        async for piece in flight.events():
            if isinstance(piece, bytes):
                await response.write(piece)
            else:
                response.headers.update(given_head(piece, trail))
                await response.prepare(http)
    except ConnectionResetError:
        raise  # nobody is there to be told
    except Exception as error:  # it ended in the middle, and must not look like an end
        await response.write(format_.writer(trail.call.request).error(told(error, trail)))
    await response.write_eof()
    return response


def given_head(head: Mapping[str, str], trail: Trail) -> dict[str, str]:
    """The head as it was, but for the id of a request that it wasn't made for."""
    first = head[REQUEST_ID]
    if first == trail.call.id:
        return dict(head)
    # No provider was asked for it, and the cache had no part in it.
    trail.outcome = Outcome.COALESCED
    trail.note("idempotency", "replayed", {"first": first})
    trail.answered_model = head.get("x-sidecar-model", "")
    trail.answered_provider = head.get("x-sidecar-provider", "")
    return {**head, REQUEST_ID: trail.call.id, REPLAYED: "true"}


def recorded(response: web.Response, asked: bytes, trail: Trail) -> Recorded:
    """A whole response as it will be given again."""
    body = response.body
    if not isinstance(body, bytes):
        raise TypeError("a whole response has its body in bytes")
    # Names as plain text: aiohttp's own kind of text can't be written as JSON.
    head = {str(name): value for name, value in response.headers.items()}
    return Recorded(asked, trail.call.id, head, body)

"""A recorded answer, or one that is being recorded, given to whoever came with its key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from aiohttp import web

from sidecar.domain import Endpoint, Outcome
from sidecar.errors import SidecarError
from sidecar.idempotency.once import AnswerFlight, Made, Once, Piece, joined_of
from sidecar.idempotency.recorded import Recorded, asked_digest, place_of
from sidecar.identify import key_known_by
from sidecar.patience import due, hurried, patience_until
from sidecar.trail import Trail
from sidecar.web.desk import Desk
from sidecar.web.errors import error_response
from sidecar.web.heads import REPLAYED, REQUEST_ID
from sidecar.web.streams import told
from sidecar.web.visit import Visit
from sidecar.wire.anthropic_tools import BETA_HEADER
from sidecar.wire.format import Format

Emit: TypeAlias = Callable[[Piece], None]
Make: TypeAlias = Callable[[bytes, Emit], Awaitable[Made]]
"""Makes the answer to what has this digest; the pieces of a stream are emitted as they come."""


class Keyed(NamedTuple):
    """A request under an `Idempotency-Key`, and who knows what was answered under it."""

    key: str
    body: bytes
    once: Once


async def answer_once(  # noqa: PLR0913 - a request, and the door that it came through
    http: web.Request,
    visit: Visit,
    keyed: Keyed,
    make: Make,
    *,
    format_: Format,
    desk: Desk,
) -> web.StreamResponse:
    """Take part in the one answer to a key, or get it as it was given."""
    call = visit.trail.call
    own_key = key_known_by(http.headers, desk.settings.identity, call.client_key)
    place = place_of(call.caller.tenant, call.caller.user, own_key, keyed.key)
    betas = http.headers.get(BETA_HEADER, "") if call.endpoint is Endpoint.MESSAGES else ""
    asked = asked_digest(call.endpoint, keyed.body, betas)

    async def made(emit: Emit) -> Made:
        visit.is_handed_over = True
        return await _make(visit, lambda: make(asked, emit), format_)

    with keyed.once.answering(place, asked, made, call.id, visit.in_hand()) as flight:
        if first := joined_of(flight, call.id):
            visit.trail.note("idempotency", "joined", {"first": first})
        with naming_others(visit.trail, first):
            return await give(http, visit.trail, flight, format_)


@contextmanager
def naming_others(trail: Trail, first: str) -> Iterator[None]:
    """What providers failed another request with, that this one waited for."""
    try:
        yield
    except SidecarError as error:
        if first and error.attempts:
            trail.joined(first)
            trail.attempts = list(error.attempts)
        raise


async def _make(visit: Visit, make: Callable[[], Awaitable[Made]], format_: Format) -> Made:
    """Make an answer for all who wait for it, whoever of them leaves."""
    try:
        made = await make()
    except SidecarError as error:
        visit.trail.error = error.code
        visit.status = error_response(error, format_).status
        raise
    except Exception:
        visit.trail.error, visit.status = SidecarError.code, SidecarError.status
        raise
    visit.status = 200
    return made


async def give(
    http: web.Request, trail: Trail, flight: AnswerFlight, format_: Format
) -> web.StreamResponse:
    """The answer of a flight: a stream as it comes, all else when it is there."""
    by = due(trail.call.timeout_s, trail.elapsed_ms)
    async with patience_until(by):
        await flight.departure()
    if flight.has_events:
        return await _follow(http, trail, hurried(flight.events(), by), format_)
    answer = await flight.result()
    return web.Response(body=answer.body, headers=given_head(answer.head, trail))


async def _follow(
    http: web.Request, trail: Trail, pieces: AsyncGenerator[Piece, None], format_: Format
) -> web.StreamResponse:
    response = web.StreamResponse()
    try:
        async for piece in pieces:
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

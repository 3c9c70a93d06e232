"""How requests are taken in, at whichever door, by the same rules.

Whatever happens to a request, it leaves a row: a refusal, a bug and a client that left too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from random import getrandbits
from typing import TypeAlias, TypeVar

from aiohttp import web

from sidecar.admission import CLIENT_LEFT
from sidecar.domain import Call, ChatRequest, Endpoint
from sidecar.errors import CacheMissError, InvalidRequestError, SidecarError
from sidecar.identify import Client, identify, with_key
from sidecar.shedding import MISSES, overloaded
from sidecar.trail import Trail
from sidecar.web.desk import ChatSettings, Desk
from sidecar.web.errors import error_response
from sidecar.web.heads import base_head
from sidecar.web.visit import Visit
from sidecar.wire.format import Format
from sidecar.wire.headers import read_controls, read_route, read_timeout_s, read_trace_parent

Answer: TypeAlias = Callable[[web.Request, Visit], Awaitable[web.StreamResponse]]
R = TypeVar("R")
_UNREAD = ChatRequest(model="", messages=())


async def receive(
    http: web.Request, desk: Desk, endpoint: Endpoint, format_: Format, answer: Answer
) -> web.StreamResponse:
    """What `answer` says, or the error that it ends with, in the words of `format_`."""
    # An id must be its own, not secret: this costs a tenth of the system's generator.
    request_id = f"req_{getrandbits(96):024x}"
    call = Call(request_id, endpoint, _UNREAD, received_at=desk.clock.now())
    visit = Visit(Trail(call, desk.clock), desk.observers, desk.departed)
    status = CLIENT_LEFT
    desk.in_flight += 1
    try:
        response = await answer(http, visit)
        status = response.status
    except ConnectionResetError:
        return web.Response(status=CLIENT_LEFT)  # nobody is there to read it
    except SidecarError as error:
        visit.failed(error.code)
        response = error_response(error, format_, base_head(visit.trail))
        status = response.status
    except Exception as error:  # what the plane's guard answers: aiohttp's own, or a bug here
        status = error.status if isinstance(error, web.HTTPException) else SidecarError.status
        visit.failed(SidecarError.code if status >= 500 else InvalidRequestError.code)
        raise
    finally:
        visit.leave(status)
    return response


def read_call(
    unread: Call,
    headers: Mapping[str, str],
    request: ChatRequest,
    client: Client | None,
    settings: ChatSettings,
) -> Call:
    """The call that a request is: who asks, and how it is to be answered."""
    rules = settings.identity
    caller = identify(headers, request.labels, client, rules, settings.tag_defaults)
    caller, client_key = with_key(caller, headers, request.model, rules)
    return replace(
        unread,
        request=request,
        caller=caller,
        controls=read_controls(headers),
        timeout_s=read_timeout_s(headers),
        route=read_route(headers),
        trace_parent=read_trace_parent(headers),
        client_key=client_key,
    )


async def sparingly(desk: Desk, trail: Trail, call: Call, ask: Callable[[Call], Awaitable[R]]) -> R:
    """Ask; under pressure only for what is cached."""
    pressure = desk.shedding.pressure(MISSES)
    if pressure is None or call.controls.only_if_cached:
        return await ask(call)
    trail.note("shedding", "misses", {"pressure": pressure.name.lower()})
    spared = replace(call, controls=replace(call.controls, only_if_cached=True))
    try:
        return await ask(spared)
    except CacheMissError:
        raise overloaded(pressure) from None

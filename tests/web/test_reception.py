"""Whatever happens at a door, its row tells what the client got."""

import asyncio

import pytest
from aiohttp import web

from sidecar.domain import CacheControls, Call, Endpoint
from sidecar.errors import CacheMissError, MissingTagError, OverloadedError
from sidecar.events import Observers, RequestRow
from sidecar.shedding import ALL, MISSES, Shedding
from sidecar.trail import Trail
from sidecar.web.desk import ChatSettings, Desk
from sidecar.web.errors import OPENAI, answer_errors
from sidecar.web.reception import receive, sparingly


@pytest.fixture
def rows() -> list[RequestRow]:
    """What observers were told."""
    return []


@pytest.fixture
def desk(clock, rows) -> Desk:
    """A desk at which no pipeline is asked."""
    return Desk(None, clock, Observers(rows.append), ChatSettings(disclose=True, tag_defaults={}))


def app_of(desk: Desk, outcome: object) -> web.Application:
    """A plane with one door, which gives this response or raises this error."""

    async def answer(http: web.Request, visit) -> web.StreamResponse:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def door(http: web.Request) -> web.StreamResponse:
        return await receive(http, desk, Endpoint.CHAT, OPENAI, answer)

    @web.middleware
    async def guarded(request, handler):
        return await answer_errors(request, handler)

    app = web.Application(middlewares=[guarded])
    app.router.add_post("/", door)
    return app


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [
        (web.Response(text="so"), 200, ""),
        (MissingTagError("say who"), 400, "missing_tag"),
        (RuntimeError("a bug"), 500, "internal"),
        (web.HTTPRequestEntityTooLarge(1, 2), 413, "invalid_request"),
    ],
    ids=["answer", "refusal", "bug", "aiohttp's own"],
)
async def test_the_row_tells_the_status_that_the_client_got(  # noqa: PLR0917
    serve, client, desk, rows, outcome, status, error
):
    """A bug of ours is not told as a client that left; nobody is in flight afterwards."""
    url = await serve(app_of(desk, outcome))
    async with client.post(url) as reply:
        assert reply.status == status
    await asyncio.sleep(0)
    assert [(row.status, row.error) for row in rows] == [(status, error)]
    assert desk.in_flight == 0


async def test_a_request_is_in_flight_until_it_is_answered(serve, client, desk, rows):
    """And one whose client leaves is not any more; its row says so."""
    arrived = asyncio.Event()

    async def answer(http: web.Request, visit) -> web.StreamResponse:
        arrived.set()
        return await asyncio.Event().wait()

    async def door(http: web.Request) -> web.StreamResponse:
        return await receive(http, desk, Endpoint.CHAT, OPENAI, answer)

    app = web.Application()
    app.router.add_post("/", door)
    url = await serve(app)
    asking = asyncio.ensure_future(client.post(url))
    await arrived.wait()
    assert desk.in_flight == 1
    asking.cancel()
    while not rows:
        await asyncio.sleep(0.001)
    assert (desk.in_flight, [row.status for row in rows]) == (0, [499])


async def asked(desk: Desk, call: Call, trail: Trail, *, is_cached: bool) -> str:
    """What comes of a call that is asked sparingly."""

    async def ask(given: Call) -> str:
        if given.controls.only_if_cached and not is_cached:
            raise CacheMissError("not there")
        return "cached" if is_cached else "made"

    return await sparingly(desk, trail, call, ask)


async def test_without_pressure_all_is_asked(desk, make_call, clock):
    """And nothing is noted."""
    trail = Trail(make_call(), clock)
    assert await asked(desk, make_call(), trail, is_cached=False) == "made"
    assert not trail.close(200).decisions


async def test_under_pressure_only_what_is_cached_is(desk, make_call, clock):
    """The row tells that it was so, and why."""
    desk.shedding = Shedding(memory_share=lambda: MISSES.memory_share + 0.01)
    trail = Trail(make_call(), clock)
    assert await asked(desk, make_call(), trail, is_cached=True) == "cached"
    with pytest.raises(OverloadedError):
        await asked(desk, make_call(), trail, is_cached=False)
    noted = trail.close(503).decisions[-1]
    assert (noted.stage, noted.word, noted.detail) == (
        "shedding", "misses", {"pressure": "memory"},
    )  # fmt: skip


async def test_who_wanted_only_that_hears_the_usual(desk, make_call, clock):
    """Pressure or not."""
    desk.shedding = Shedding(lambda: MISSES.lag_s + 1)
    call = make_call(controls=CacheControls(only_if_cached=True))
    with pytest.raises(CacheMissError):
        await asked(desk, call, Trail(call, clock), is_cached=False)


def test_a_call_refused_at_once_tells_why(make_call, clock):
    """In its trail, by the sign."""
    trail = Trail(make_call(), clock)
    with pytest.raises(OverloadedError):
        Shedding(lambda: ALL.lag_s + 1).check(trail)
    (noted,) = trail.close(503).decisions
    assert (noted.stage, noted.word, noted.detail) == ("shedding", "all", {"pressure": "lag"})

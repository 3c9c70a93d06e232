"""A sidecar under pressure: what is cached first, then nothing, and health all the while.

In this process, so that the signs can be what a test needs; all else is as it is served.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientResponse, ClientSession, web

from sidecar import Config, create_app
from sidecar.app import ADMIN_APP, SIDECAR, Sidecar
from sidecar.shedding import ALL, MISSES, Shedding

from .running import Provider, asking, config_for

BUSY, LOST = MISSES.lag_s + 0.1, ALL.lag_s + 0.1


class Pressed:
    """A running sidecar, and how late its event loop is said to be."""

    def __init__(self, sidecar: Sidecar, url: str, admin_url: str, session: ClientSession) -> None:
        self.lag_s = 0.0
        self.admin_url = admin_url
        self._url = url
        self._session = session
        sidecar.desk.shedding = Shedding(lambda: self.lag_s)

    async def ask(self, question: str, **headers: str) -> ClientResponse:
        """One question; its answer is read."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.post(self._url, json=asking(question), headers=named) as reply:
            await reply.read()
            return reply

    async def get(self, path: str) -> int:
        """The status of a request to the admin plane."""
        async with self._session.get(self.admin_url + path) as reply:
            return reply.status


async def served(app: web.Application) -> tuple[web.AppRunner, str]:
    """A runner of an application, and where it is."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def pressed(provider: Provider, tmp_path: Path) -> AsyncIterator[Pressed]:
    """A sidecar without pressure yet."""
    app = create_app(Config.parse(config_for(provider, tmp_path, {})))
    data, url = await served(app)
    admin, admin_url = await served(app[ADMIN_APP])
    async with ClientSession() as session:
        yield Pressed(app[SIDECAR], f"{url}/v1/chat/completions", admin_url, session)
    await admin.cleanup()
    await data.cleanup()


async def test_misses_are_refused_first(pressed: Pressed, provider: Provider) -> None:
    """What is cached is still given; no provider hears of the rest."""
    assert (await pressed.ask("Cached?")).status == 200
    pressed.lag_s = BUSY
    hit, miss = await pressed.ask("Cached?"), await pressed.ask("New to all?")
    assert (hit.status, hit.headers["x-sidecar-cache"]) == (200, "exact")
    assert (miss.status, miss.headers["retry-after"]) == (503, "1")
    assert (await miss.json())["error"]["code"] == "overloaded"
    assert provider.calls == 1


async def test_who_wants_only_what_is_cached_is_told_that_it_is_not(pressed: Pressed) -> None:
    """The refusal is that caller's own, pressure or not."""
    pressed.lag_s = BUSY
    reply = await pressed.ask("New to all?", Cache_Control="only-if-cached")
    assert (reply.status, (await reply.json())["error"]["code"]) == (504, "cache_miss")


async def test_beyond_the_second_bounds_all_are_refused(pressed: Pressed) -> None:
    """Hits too; and health answers all the same."""
    await pressed.ask("Cached?")
    pressed.lag_s = LOST
    reply = await pressed.ask("Cached?")
    assert (reply.status, (await reply.json())["error"]["code"]) == (503, "overloaded")
    assert [await pressed.get(path) for path in ("/healthz", "/readyz")] == [200, 200]


@pytest.mark.parametrize("lag_s", [BUSY, LOST])
async def test_when_the_pressure_is_over_all_are_answered(pressed: Pressed, lag_s: float) -> None:
    """From the next request on."""
    pressed.lag_s = lag_s
    assert (await pressed.ask("New to all?")).status == 503
    pressed.lag_s = 0.0
    assert (await pressed.ask("New to all?")).status == 200


async def test_what_was_refused_under_a_key_is_not_kept(pressed: Pressed) -> None:
    """The next try is answered."""
    pressed.lag_s = BUSY
    assert (await pressed.ask("Once?", Idempotency_Key="k")).status == 503
    pressed.lag_s = 0.0
    first, again = [await pressed.ask("Once?", Idempotency_Key="k") for _ in range(2)]
    assert (first.status, "idempotent-replayed" in first.headers) == (200, False)
    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")


async def test_a_refusal_leaves_a_row(pressed: Pressed) -> None:
    """An operator sees what was shed."""
    pressed.lag_s = LOST
    reply = await pressed.ask("Seen?")
    path = f"/api/requests/{reply.headers['x-sidecar-request-id']}"
    assert await pressed.get(path) == 200

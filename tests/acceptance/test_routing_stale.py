"""An expired answer rather than an error, where it may be told at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

import aiohttp
import pytest
from aiohttp import web

from sidecar.app import SIDECAR, create_app
from sidecar.config import Config
from sidecar.domain import Outcome

from .running import Provider, Reply, asking, config_for

ASKED = "How do I reset my password?"
FAILING = {"status": 500}
TTL_S = 0.2
Ask: TypeAlias = Callable[..., Awaitable[Reply]]


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """Serve `app` on a free port as the process does; its URL."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def opened(provider: Provider, tmp_path: Any) -> AsyncIterator[Callable[..., Awaitable[Ask]]]:
    """Start a sidecar whose answers last a moment, with this config of the cache."""
    async with AsyncExitStack() as stack:

        async def start(**cache: Any) -> Ask:
            target = {"targets": [{"provider": "p", "model": "m"}], "retry": {"attempts": 1}}
            changes = {"models": {"gpt-4o": target}, "cache": {"ttl": "200ms", **cache}}
            config = Config.parse(config_for(provider, tmp_path, changes))
            app = create_app(config)
            app[SIDECAR].cache.expiry.keep_stale_s = config.cache.stale_if_error_s
            url = await stack.enter_async_context(listening(app))
            session = await stack.enter_async_context(aiohttp.ClientSession())

            async def ask(headers: Any = None, **fields: Any) -> Reply:
                body = asking(ASKED, **fields)
                address = f"{url}/v1/chat/completions"
                async with session.post(address, json=body, headers=headers) as answer:
                    named = {name.lower(): value for name, value in answer.headers.items()}
                    return Reply(answer.status, named, await answer.read())

            return ask

        yield start


async def expired(ask: Ask, **fields: Any) -> Reply:
    """Ask once, and wait until the answer is over."""
    first = await ask(**fields)
    while (await ask({"Cache-Control": "only-if-cached"}, **fields)).status == 200:
        pass
    return first


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "fault", [FAILING, {"lost_reply": True}, {"status": 429}, {"status": 401}],
    ids=["500", "lost", "limit", "key"],
)  # fmt: skip
async def test_an_expired_answer_stands_in(opened, provider, fields, fault):
    """The same words, marked as stale, with how long it has been over."""
    ask = await opened()
    first = await expired(ask, **fields)
    provider.script(fault)
    reply = await ask(**fields)
    assert (reply.status, reply.cache, reply.text) == (200, Outcome.STALE, first.text)
    parts = reply.headers["cache-status"].split("; ")
    assert (parts[:2], parts[3]) == (["sidecar", "hit"], "detail=stale")
    assert int(parts[2].removeprefix("ttl=")) < 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "no-cache"},
        {"Cache-Control": "no-store"},
        {"Cache-Control": "max-age=0"},
        {"x-sidecar-tenant": "another"},
    ],
    ids=["no-cache", "no-store", "max-age", "tenant"],
)
async def test_what_may_not_be_read_stays_an_error(opened, provider, headers):
    """A failing provider opens no door."""
    ask = await opened()
    await expired(ask)
    provider.script(FAILING)
    assert (await ask(headers)).status == 503


@pytest.mark.parametrize("cache", [{"stale_if_error": "0s"}, {"mode": "shadow"}])
async def test_config_can_forbid_it(opened, provider, cache):
    """Then an error is an error."""
    ask = await opened(**cache)
    await ask()
    while (await ask({"Cache-Control": "only-if-cached"})).status == 200:
        pass
    provider.script(FAILING)
    assert (await ask()).status == 503


@pytest.mark.parametrize("status", [400, 422])
async def test_a_refusal_is_no_failure(opened, provider, status):
    """What the caller did wrong is told, not covered with an old answer."""
    ask = await opened()
    await expired(ask)
    provider.script({"status": status})
    assert (await ask()).status == status


async def test_a_provider_that_is_back_is_asked(opened, provider):
    """Stale is for an outage alone, and a fresh answer takes its place."""
    ask = await opened()
    await expired(ask)
    provider.script(FAILING)
    assert (await ask()).cache == Outcome.STALE
    provider.script()
    assert (await ask()).cache == Outcome.MISS
    assert (await ask()).cache == Outcome.EXACT


async def test_a_stream_that_died_after_its_first_word_stays_dead(opened, provider):
    """Two answers can't be told in one."""
    ask = await opened()
    await expired(ask, stream=True)
    provider.script({"cut_after_events": 3})
    reply = await ask(stream=True)
    assert reply.cache == Outcome.MISS
    assert reply.chunks[-1]["error"]

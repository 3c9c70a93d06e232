"""What no request over HTTP can show of embeddings: times, purges and requests under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from sidecar.cache.embeddings import EmbeddingCache
from sidecar.cache.entry import Selector
from sidecar.cache.policy import Settings
from sidecar.clock import ManualClock
from sidecar.domain import CacheControls, Call, ChatRequest, Endpoint, Usage
from sidecar.embeddings import EmbeddingReply, Embeddings
from sidecar.errors import ModelNotFoundError
from sidecar.providers.embeddings import OpenAIEmbeddings
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.table import TARGETS, Route, RouteTable, Target
from sidecar.trail import Trail
from sidecar.wire.embeddings import EmbeddingRequest
from tests.providers.asking import until

CALL = Call("r", Endpoint.EMBEDDINGS, ChatRequest("e", ()))
TABLE = RouteTable({"e": {TARGETS: Route("e", (Target("p", "e"),))}})


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedServer]:
    """A provider that answers at once."""
    server = SimulatedServer(latency_ms=0)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
def cache(clock: ManualClock) -> EmbeddingCache:
    """An empty cache without a disk."""
    return EmbeddingCache(None, clock)


@pytest.fixture
async def embeddings(
    simulated: SimulatedServer, cache: EmbeddingCache, clock: ManualClock
) -> AsyncIterator[Embeddings]:
    """The way of a request, with a minute to live for what it stores."""
    transport = Transport(use_environment=False)
    providers = {"p": OpenAIEmbeddings("p", simulated.base_url, None, transport)}
    yield Embeddings(providers, TABLE, cache, lambda _: Settings(ttl_s=60), clock)
    await transport.close()


async def ask(
    embeddings: Embeddings, clock: ManualClock, *items: str, **controls: float
) -> tuple[EmbeddingReply, Trail]:
    """One request, and its trail."""
    call = replace(CALL, controls=CacheControls(**controls))  # type: ignore[arg-type]
    trail = Trail(call, clock)
    return await embeddings.answer(call, EmbeddingRequest("e", items), trail), trail


async def test_an_entry_lives_as_long_as_config_says(
    embeddings: Embeddings, clock: ManualClock
) -> None:
    """The reply tells what is left of the oldest item's time, and its age."""
    await ask(embeddings, clock, "a")
    clock.advance(20)
    await ask(embeddings, clock, "b")
    clock.advance(20)
    reply, trail = await ask(embeddings, clock, "b", "a")
    assert (reply.cached, reply.ttl_s, trail.age_s) == (2, 20, 40)
    clock.advance(25)
    reply, _ = await ask(embeddings, clock, "b", "a")
    assert (reply.cached, reply.is_partial) == (1, True)


async def test_a_client_may_want_it_younger(embeddings: Embeddings, clock: ManualClock) -> None:
    """`max-age`: what is older is asked for again, and that is the reason."""
    await ask(embeddings, clock, "a")
    clock.advance(10)
    assert (await ask(embeddings, clock, "a", max_age_s=10))[0].cached == 1
    reply, trail = await ask(embeddings, clock, "a", max_age_s=9)
    assert (reply.cached, trail.reason) == (0, "too_old")


async def test_a_purge_holds_against_a_request_under_way(
    embeddings: Embeddings, cache: EmbeddingCache, simulated: SimulatedServer, clock: ManualClock
) -> None:
    """Its vectors are given to who asked, and not stored."""
    simulated.script.replace([{"delay_ms": 50}])
    asking = asyncio.create_task(ask(embeddings, clock, "a"))
    await until(lambda: b'"running"' in simulated.ledger.report())
    await cache.forget(Selector("all"))
    reply, trail = await asking
    assert (len(reply.vectors), trail.stored, len(cache)) == (1, False, 0)


async def test_usage_that_nobody_told_is_not_known(
    embeddings: Embeddings, simulated: SimulatedServer, clock: ManualClock
) -> None:
    """The row has none; the reply, which must have one, says zero."""
    simulated.script.replace([{"usage": None}])
    reply, trail = await ask(embeddings, clock, "a")
    assert (reply.usage, trail.usage) == (Usage(0, 0), None)


async def test_another_table_holds_from_the_next_request_on(
    embeddings: Embeddings, clock: ManualClock
) -> None:
    """A toggle or another config."""
    embeddings.routes = RouteTable({})
    with pytest.raises(ModelNotFoundError):
        await ask(embeddings, clock, "a")


async def test_a_variant_has_vectors_of_its_own(
    embeddings: Embeddings, simulated: SimulatedServer, clock: ManualClock
) -> None:
    """Another model's vectors would be of no use."""
    await ask(embeddings, clock, "a")
    routes = {name: Route("e", (Target("p", name),), variant=name) for name in (TARGETS, "big")}
    embeddings.routes = RouteTable({"e": routes}, {"e": "big"})
    assert (await ask(embeddings, clock, "a"))[0].cached == 0
    models = [row["model"] for row in orjson.loads(simulated.ledger.report())["requests"]]
    assert models == ["e", "big"]

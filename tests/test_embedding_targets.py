"""Who is asked for embeddings, in which order, and when nobody else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from sidecar.clock import ManualClock
from sidecar.domain import Call, Caller, ChatRequest, Endpoint
from sidecar.embedding_targets import EmbeddingTargets
from sidecar.errors import InvalidRequestError, UpstreamError, UpstreamRefusedError
from sidecar.providers.embeddings import OpenAIEmbeddings
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.table import Route, Target
from sidecar.trail import Trail
from sidecar.wire.embeddings import EmbeddingRequest
from tests.providers.asking import until

CALL = Call("r", Endpoint.EMBEDDINGS, ChatRequest("e", ()), Caller(session="s1"))
REQUEST = EmbeddingRequest("e", ("a",))


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedServer]:
    """A provider that answers at once."""
    server = SimulatedServer(latency_ms=0)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def targets(simulated: SimulatedServer) -> AsyncIterator[EmbeddingTargets]:
    """Two providers at one server, and one that makes no embeddings."""
    transport = Transport(use_environment=False)
    providers: dict[str, object] = {
        name: OpenAIEmbeddings(name, simulated.base_url, None, transport) for name in "pq"
    }
    yield EmbeddingTargets({**providers, "chat-only": object()}, ManualClock())
    await transport.close()


def route(*targets: Target, fallbacks: Sequence[Target] = (), **fields: Any) -> Route:
    """A route to these."""
    return Route("e", targets, fallbacks=fallbacks, **fields)


async def asked(targets: EmbeddingTargets, route: Route) -> tuple[str, list[tuple[str, str]]]:
    """Who answered, and every attempt by provider and reason."""
    trail = Trail(CALL, ManualClock())
    try:
        answered = await targets.ask(CALL, REQUEST, ["a"], route, trail)
    except UpstreamError as error:
        return error.reason, [(each.provider, each.reason) for each in error.attempts]
    return answered.target.provider, [(each.provider, each.reason) for each in trail.attempts]


async def test_every_target_is_asked_once(
    targets: EmbeddingTargets, simulated: SimulatedServer
) -> None:
    """And the last failure names them all."""
    simulated.script.replace([{"status": 500}])
    way = route(Target("p", "e"), fallbacks=[Target("q", "e")])
    assert await asked(targets, way) == ("status_500", [("p", "status_500"), ("q", "status_500")])


async def test_the_next_one_answers(targets: EmbeddingTargets, simulated: SimulatedServer) -> None:
    """Also where the first is only busy."""
    simulated.script.replace([{"status": 429, "times": 1}])
    way = route(Target("p", "e"), fallbacks=[Target("q", "e")])
    assert await asked(targets, way) == ("q", [("p", "rate_limited"), ("q", "ok")])


async def test_a_callers_fault_ends_it(
    targets: EmbeddingTargets, simulated: SimulatedServer
) -> None:
    """Nobody else would answer it either."""
    simulated.script.replace([{"status": 400}])
    way = route(Target("p", "e"), fallbacks=[Target("q", "e")])
    with pytest.raises(UpstreamRefusedError):
        await targets.ask(CALL, REQUEST, ["a"], way, Trail(CALL, ManualClock()))
    assert orjson.loads(simulated.ledger.report())["calls"] == 1


def test_a_fallback_of_another_model_is_not_asked(targets: EmbeddingTargets) -> None:
    """Its vectors can't be compared with the target's."""
    way = route(Target("p", "e"), fallbacks=[Target("q", "other"), Target("q", "e")])
    plan = [(choice.target.model, choice.is_fallback) for choice in targets.plan(CALL, way)]
    assert plan == [("e", False), ("e", True)]


def test_a_target_without_weight_is_not_asked(targets: EmbeddingTargets) -> None:
    """It was taken out of use."""
    way = route(Target("p", "e", 0), Target("q", "e", 1))
    assert [choice.target.provider for choice in targets.plan(CALL, way)] == ["q"]


def test_a_session_sticks_to_its_target(targets: EmbeddingTargets) -> None:
    """Where the route says so."""
    way = route(Target("p", "e"), Target("q", "e"), sticky="session")
    firsts = {next(targets.plan(CALL, way)).target.provider for _ in range(50)}
    assert len(firsts) == 1


async def test_who_makes_no_embeddings_is_passed_over(targets: EmbeddingTargets) -> None:
    """And where there is no other, the refusal names it."""
    with_other = route(Target("chat-only", "e"), fallbacks=[Target("q", "e")])
    assert await asked(targets, with_other) == ("q", [("q", "ok")])
    with pytest.raises(InvalidRequestError) as raised:
        await asked(targets, route(Target("chat-only", "e")))
    assert "chat-only" in raised.value.message


async def test_a_call_that_is_given_up_is_in_the_trail(
    targets: EmbeddingTargets, simulated: SimulatedServer
) -> None:
    """And nobody else is asked."""
    simulated.script.replace([{"delay_ms": 60_000}])
    trail = Trail(CALL, ManualClock())
    way = route(Target("p", "e"), fallbacks=[Target("q", "e")])
    errand = asyncio.create_task(targets.ask(CALL, REQUEST, ["a"], way, trail))
    await until(lambda: b'"running"' in simulated.ledger.report())
    errand.cancel()
    with pytest.raises(asyncio.CancelledError):
        await errand
    assert [each.reason for each in trail.attempts] == ["cancelled"]

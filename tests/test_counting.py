"""Who counts: the shipped tokenizer, the provider, or nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sidecar.clock import ManualClock
from sidecar.counting import Counting
from sidecar.domain import Call, Outcome
from sidecar.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    UpstreamError,
    UpstreamTimeoutError,
)
from sidecar.providers.embeddings import OpenAIEmbeddings, SimulatedProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.dispatch import Dispatcher
from sidecar.route.policy import BreakerPolicy, RetryPolicy
from sidecar.route.table import TARGETS, Route, RouteTable, Target
from sidecar.trail import Trail

QUICK = RetryPolicy(attempts=3, base_s=0.002, max_s=0.05)
OTHER = Target("sim", "claude-other")


def table(**models: str) -> RouteTable:
    """Models by name, each answered by the model of a provider: `provider/model`."""
    routes = {}
    for name, told in models.items():
        provider, _, model = told.partition("/")
        routes[name] = {
            variant: Route(
                name, (Target(provider, target),), variant=variant, fallbacks=(OTHER,),
                retry=QUICK, breaker=BreakerPolicy(failures=1),
            )
            for variant, target in ((TARGETS, model), ("other", "gpt-4"))
        }  # fmt: skip
    return RouteTable(routes)


@dataclass
class Bench:
    """A simulated provider that counts, and one that doesn't."""

    server: SimulatedServer
    dispatcher: Dispatcher
    counting: Counting
    make_call: Callable[..., Call]

    async def count(self, model: str, **changes: Any) -> tuple[int, Trail]:
        """A count, and its trail."""
        trail = self.trail(model, **changes)
        return await self.counting.count(trail.call, trail), trail

    def trail(self, model: str, **changes: Any) -> Trail:
        """The trail of a call to come."""
        return Trail(replace(self.make_call(model=model), **changes), ManualClock())


@pytest.fixture
async def made(make_call: Callable[..., Call]) -> AsyncIterator[Bench]:
    """Three models."""
    server, transport = SimulatedServer(latency_ms=0), Transport(use_environment=False)
    await server.start()
    providers = {
        "sim": SimulatedProvider("sim", server.url, transport),
        "plain": OpenAIEmbeddings("plain", server.base_url, None, transport),
    }
    dispatcher = Dispatcher(providers, ManualClock())
    routes = table(claude="sim/claude", gpt="sim/gpt-4o", llama="plain/llama3")
    yield Bench(server, dispatcher, Counting(dispatcher, routes), make_call)
    await transport.close()
    await server.close()


async def test_a_known_tokenizer_is_used(made: Bench) -> None:
    """Although the provider could be asked; the trail says so."""
    tokens, trail = await made.count("gpt")
    row = trail.close(200)
    assert (tokens, row.outcome, row.attempts, row.variant) == (14, Outcome.BYPASS, (), TARGETS)
    assert [(each.stage, each.word) for each in row.decisions] == [("count", "here")]


async def test_a_provider_is_asked_else(made: Bench) -> None:
    """It counts by words, and is named; nothing was used."""
    tokens, trail = await made.count("claude")
    row = trail.close(200)
    assert (tokens, row.answered_provider, row.answered_model) == (6, "sim", "claude")
    assert [attempt.reason for attempt in row.attempts] == ["ok"]
    assert row.input_tokens is None


async def test_it_is_asked_again(made: Bench) -> None:
    """As the route's policy allows."""
    made.server.script.replace([{"status": 503, "times": 2}])
    tokens, trail = await made.count("claude")
    assert (tokens, len(trail.attempts)) == (6, 3)


async def test_nobody_else_is_asked(made: Bench) -> None:
    """Another model's count is another number. The row names what was tried."""
    made.server.script.replace([{"status": 500}])
    trail = made.trail("claude")
    with pytest.raises(UpstreamError) as raised:
        await made.counting.count(trail.call, trail)
    assert {attempt.model for attempt in trail.attempts} == {"claude"}
    assert raised.value.attempts == tuple(trail.attempts) != ()


async def test_chats_are_not_kept_from_who_only_fails_to_count(made: Bench) -> None:
    """The breaker hears nothing of counts: many servers have no such endpoint."""
    made.server.script.replace([{"status": 500}])
    with pytest.raises(UpstreamError):
        await made.count("claude")
    assert made.dispatcher.states()["sim", "claude"]["state"] == "closed"


async def test_nobody_guesses(made: Bench) -> None:
    """The error names the model that was asked for and the one that would answer."""
    with pytest.raises(InvalidRequestError) as raised:
        await made.count("llama")
    assert "llama" in raised.value.message
    assert "llama3" in raised.value.message


async def test_the_variant_decides(made: Bench) -> None:
    """What would answer is what is counted for."""
    tokens, trail = await made.count("claude", route="other")
    assert (tokens, trail.variant) == (14, "other")


async def test_another_table_holds_from_the_next_request_on(made: Bench) -> None:
    """A toggle or another config."""
    made.counting.routes = table(llama="sim/gpt-4o")
    assert (await made.count("llama"))[0] == 14
    with pytest.raises(ModelNotFoundError):
        await made.count("claude")


async def test_no_longer_than_the_caller_waits(made: Bench) -> None:
    """504, and the attempt is in the trail."""
    made.server.script.replace([{"delay_ms": 60_000}])
    trail = made.trail("claude", timeout_s=0.05)
    with pytest.raises(UpstreamTimeoutError, match="x-sidecar-timeout-ms") as raised:
        await made.counting.count(trail.call, trail)
    assert [attempt.reason for attempt in trail.attempts] == ["cancelled"]
    assert raised.value.attempts == tuple(trail.attempts)

"""What the dispatcher's tests share: a real provider over HTTP, and a route to its models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from sidecar.clock import SystemClock
from sidecar.domain import Attempt, Call, Chunk
from sidecar.errors import SidecarError
from sidecar.events import Event, Observers
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.dispatch import Answered, Dispatcher
from sidecar.route.policy import RetryPolicy
from sidecar.route.table import Route, Target

QUICK = RetryPolicy(attempts=3, base_s=0.002, max_s=0.05)


@dataclass
class Asked:
    """One call's story: what came of it, what was tried, what was given on."""

    answered: Answered | None = None
    error: SidecarError | None = None
    attempts: list[Attempt] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        """How each attempt ended."""
        return [attempt.reason for attempt in self.attempts]

    @property
    def models(self) -> list[str]:
        """Who was tried."""
        return [attempt.model for attempt in self.attempts]

    @property
    def text(self) -> str:
        """What the client saw of a stream."""
        return "".join(delta.text or "" for chunk in self.chunks for delta in chunk.deltas)


@dataclass
class Bench:
    """A dispatcher in front of the simulated provider."""

    server: SimulatedServer
    dispatcher: Dispatcher
    told: list[Event]

    def script(self, *rules: dict[str, Any]) -> None:
        """Fail like this from now on."""
        self.server.script.replace(list(rules))

    @property
    def ledger(self) -> list[tuple[str, int, str]]:
        """The provider's own account: model, status and outcome of each call it saw."""
        return [(r.model, r.status, r.outcome) for r in self.server.ledger._rows.values()]

    async def ask(self, call: Call, route: Route) -> Asked:
        """One call, to its end."""
        asked = Asked()
        try:
            asked.answered = await self.dispatcher.ask(
                call, route, emit=asked.chunks.append, attempts=asked.attempts
            )
        except SidecarError as error:
            asked.error = error
        return asked


@pytest.fixture
def route() -> Callable[..., Route]:
    """A route to these models of the simulated provider; other arguments are its fields."""

    def make(*models: str, fallbacks: tuple[str, ...] = (), **changes: Any) -> Route:
        targets = tuple(Target("sim", model) for model in models or ("first",))
        stand_ins = tuple(Target("sim", model) for model in fallbacks)
        return Route("gpt-4o", targets, fallbacks=stand_ins, **{"retry": QUICK, **changes})

    return make


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """The shipped provider, answering at once, and a dispatcher that asks it over HTTP."""
    server, told = SimulatedServer(latency_ms=0, tokens_per_s=0), []
    await server.start()
    transport = Transport(use_environment=False)
    providers = {
        "sim": OpenAIProvider("sim", server.base_url, None, transport),
        "dead": OpenAIProvider("dead", "http://127.0.0.1:1/v1", None, transport),
    }
    yield Bench(server, Dispatcher(providers, SystemClock(), Observers(told.append)), told)
    await transport.close()
    await server.close()

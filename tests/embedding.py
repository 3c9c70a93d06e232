"""What the tests of embeddings share: a provider over HTTP, and the way of a request to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sidecar.budget.local import LocalBudgets
from sidecar.budget.prices import PriceTable
from sidecar.cache.embeddings import EmbeddingCache
from sidecar.cache.embeddings_store import StoredVector
from sidecar.cache.policy import Settings
from sidecar.cashier import Cashier, CashierSettings
from sidecar.clock import Clock
from sidecar.domain import CacheControls, Call, Caller, ChatRequest, Endpoint
from sidecar.embedding_fill import EmbeddingFiller
from sidecar.embeddings import EmbeddingReply, Embeddings
from sidecar.providers.anthropic import AnthropicProvider
from sidecar.providers.embeddings import OpenAIEmbeddings
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.dispatch import Dispatcher
from sidecar.route.policy import RetryPolicy
from sidecar.route.table import TARGETS, Route, RouteTable, Target
from sidecar.tasks import Tasks
from sidecar.trail import Trail
from sidecar.wire.embeddings import EmbeddingRequest

QUICK = RetryPolicy(attempts=3, base_s=0.002, max_s=0.05)
ONCE = RetryPolicy(attempts=1)


class LateCache(EmbeddingCache):
    """One whose next look-up, where `late` is set, tells what it saw only once that is."""

    late: asyncio.Event | None = None

    async def find(self, keys: Iterable[bytes]) -> dict[bytes, StoredVector]:
        late, self.late = self.late, None
        found = await super().find(keys)
        if late is not None:
            await late.wait()
        return found


@dataclass
class Bench:
    """Embeddings of model `e`, answered by `p` and `q`; `chat-only` makes none."""

    server: SimulatedServer
    dispatcher: Dispatcher
    cache: LateCache
    filler: EmbeddingFiller
    embeddings: Embeddings
    clock: Clock
    asked: int = 0

    def script(self, *rules: dict[str, Any]) -> None:
        """Fail like this from now on."""
        self.server.script.replace(list(rules))

    def route(self, *targets: Target, fallbacks: Iterable[Target] = (), **fields: Any) -> None:
        """Let these answer from now on."""
        told = {"retry": QUICK, **fields}
        way = Route("e", targets or (Target("p", "e"),), fallbacks=tuple(fallbacks), **told)
        self.embeddings.routes = RouteTable({"e": {TARGETS: way}})

    def call(self, caller: Caller | None = None, **controls: Any) -> Call:
        """A call with an id of its own."""
        self.asked += 1
        return Call(
            f"r{self.asked}", Endpoint.EMBEDDINGS, ChatRequest("e", ()), caller or Caller(),
            CacheControls(**controls), self.clock.now(),
        )  # fmt: skip

    async def ask(
        self, *items: str, call: Call | None = None, trail: Trail | None = None, **controls: Any
    ) -> tuple[EmbeddingReply, Trail]:
        """One request, and its trail."""
        trail = trail or Trail(call or self.call(**controls), self.clock)
        request = EmbeddingRequest("e", items)
        return await self.embeddings.answer(trail.call, request, trail), trail

    def trail(self, **controls: Any) -> Trail:
        """The trail of a call to come."""
        return Trail(self.call(**controls), self.clock)

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """What the provider saw."""
        return list(orjson.loads(self.server.ledger.report())["requests"])

    @property
    def seen(self) -> list[list[str]]:
        """The items of every call that the provider saw."""
        return [row["messages"] for row in self.ledger]


def unlimited(clock: Clock) -> Cashier:
    """One with no budget to keep, so nothing is ever refused or written down."""
    return Cashier(LocalBudgets(Path("unused"), clock), PriceTable(), CashierSettings({}))


@asynccontextmanager
async def bench(clock: Clock, tasks: Tasks) -> AsyncIterator[Bench]:
    """With a minute to live for what is stored, and no disk."""
    server, transport = SimulatedServer(latency_ms=0), Transport(use_environment=False)
    await server.start()
    providers = {name: OpenAIEmbeddings(name, server.base_url, None, transport) for name in "pq"}
    chat_only = AnthropicProvider("chat-only", server.url, "k", transport)
    dispatcher = Dispatcher({**providers, "chat-only": chat_only}, clock)
    cache = LateCache(None, clock)
    filler = EmbeddingFiller(dispatcher, cache, clock, unlimited(clock))
    embeddings = Embeddings(
        filler, RouteTable({}), cache, lambda _: Settings(ttl_s=60), clock, tasks=tasks
    )
    made = Bench(server, dispatcher, cache, filler, embeddings, clock)
    made.route()
    yield made
    await transport.close()
    await server.close()

"""The cache in `state_dir`, opened without a sidecar, for one question.

Under the same lock as a sidecar's, so that two processes never write to one cache.
Heavy to import: only the commands that find no sidecar running do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sidecar import wiring
from sidecar.cache.entry import Selector
from sidecar.cache.tiers import Cache
from sidecar.clock import SystemClock
from sidecar.config import Config
from sidecar.embed import Embedder, models, open_embedder
from sidecar.events import Observers
from sidecar.state import StateDir
from sidecar.tasks import Tasks


@dataclass(frozen=True, slots=True)
class OwnCache:
    """Answers as the admin plane of a running sidecar would."""

    config: Config

    def figures(self) -> dict[str, Any]:
        """How much is cached: the part `cache` of `/api/status`."""

        async def ask(cache: Cache) -> dict[str, Any]:
            return asdict(cache.stats())

        return self._with(ask)

    def purge(self, field: str, value: str, dry_run: bool) -> dict[str, Any]:
        """Forget what matches: as `/api/purge`."""

        async def ask(cache: Cache) -> dict[str, Any]:
            matched = await cache.purge(Selector(field, value), dry_run=dry_run)
            return {"purged": 0 if dry_run else matched, "matched": matched, "dry_run": dry_run}

        return self._with(ask)

    def _with(self, ask: Callable[[Cache], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        async def run() -> dict[str, Any]:
            async with _opened(self.config) as cache:
                return await ask(cache)

        return asyncio.run(run())


@asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[Cache]:
    with StateDir(config.state_dir) as state:
        embedding, tasks = _embedding(config), Tasks()
        cache = Cache(
            path=state.path / "cache.sqlite",
            embedding_model=embedding.model_id,
            dimension=embedding.dimension,
            caps=wiring.cache_caps(config.cache),
            clock=SystemClock(),
            tasks=tasks,
            observers=Observers(),
        )
        await cache.open()
        try:
            yield cache
        finally:
            await cache.close()
            await tasks.close()


def _embedding(config: Config) -> models.Model | Embedder:
    """What names the vectors: a shipped model's manifest will do, others must be loaded."""
    chosen = config.embedding
    if chosen.backend == "onnx":
        return models.find(chosen.model)
    return open_embedder(chosen.model, backend=chosen.backend, threads=chosen.threads)

"""Look, compare: is there a stored answer that may be given?

The exact tier first, then the nearest questions of the same scope, judged by a
verifier. Whatever fails on this side of the provider is a miss with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sidecar.cache.entry import Candidate, Entry
from sidecar.cache.policy import why_not_stale, why_too_old
from sidecar.cache.tiers import Cache
from sidecar.clock import Clock
from sidecar.domain import Outcome, Usage
from sidecar.embed.protocol import Unembeddable, Vector
from sidecar.embed.queue import EmbeddingQueue
from sidecar.question import Question
from sidecar.reasons import Reason
from sidecar.reply import Reply
from sidecar.verify.fixed import FixedVerifier, Pair

CANDIDATES = 4
"""How many of the nearest entries are judged."""
FLOOR = 0.80
"""The cosine beneath which an entry isn't even worth noting as a near miss."""


Worth: TypeAlias = Callable[[str, str, Usage | None], int | None]
"""What such an answer of a provider's model costs, in nano-dollars; None where not known."""


def unpriced(provider: str, model: str, usage: Usage | None) -> None:
    """Where prices are not known."""


class Lookup:
    """Reads the tiers. Never writes, never raises for a tier's failure.

    `worth` says what a hit saves.
    """

    def __init__(
        self,
        cache: Cache,
        embedder: EmbeddingQueue,
        verifier: FixedVerifier,
        clock: Clock,
        worth: Worth = unpriced,
    ) -> None:
        self._worth = worth
        self._cache = cache
        self._embedder = embedder
        self._verifier = verifier
        self._clock = clock

    async def find(self, asked: Question) -> Reply | None:
        """A hit of either tier, or None with the reasons in the trail."""
        return await self.exact(asked) or await self._by_meaning(asked)

    async def exact(self, asked: Question) -> Reply | None:
        """A hit of the exact tier."""
        entry = await self._cache.get(asked.key.exact)
        return self._reply(asked, entry, Outcome.EXACT) if entry else None

    async def stale(self, asked: Question) -> Reply | None:
        """An expired answer to an equal question, for when nobody gives a fresh one."""
        if why_not_stale(asked.permission, asked.settings):
            return None
        entry = await self._cache.get_stale(
            asked.key.exact, within_s=asked.settings.stale_if_error_s
        )
        return self._reply(asked, entry, Outcome.STALE) if entry else None

    async def _by_meaning(self, asked: Question) -> Reply | None:
        if asked.permission.meaning is not None:
            asked.trail.refused("meaning", asked.permission.meaning)
            return None
        if asked.call.controls.max_wrong is not None:
            # A limit that nothing here can prove yet is kept by not serving.
            asked.trail.refused("meaning", Reason.UNPROVEN)
            return None
        vector = await self.embed(asked)
        if vector is None:
            return None
        with asked.trail.timed("search"):
            near = await self._cache.nearest(asked.key.scope, vector, k=CANDIDATES, floor=FLOOR)
        return self._judge(asked, near)

    async def embed(self, asked: Question) -> Vector | None:
        """Give the question its vector; None with a reason in the trail where it gets none."""
        if asked.key.question is None or asked.embed_tried:
            return asked.vector
        asked.embed_tried = True
        try:
            with asked.trail.timed("embed"):
                asked.vector = await self._embedder.embed(asked.key.question)
        except Unembeddable as error:
            asked.trail.refused("embed", error.reason)
        return asked.vector

    def _judge(self, asked: Question, near: list[Candidate]) -> Reply | None:
        trail = asked.trail
        pairs = [Pair(candidate.entry.question, candidate.similarity) for candidate in near]
        with trail.timed("verify"):
            verdict = self._verifier.judge(asked.key.question or "", pairs)
        if near:
            best = near[verdict.served or 0]
            trail.judged(
                best.entry.id, best.similarity, verdict.confidence, self._verifier.threshold
            )
        if verdict.served is None:
            trail.refused("verify", verdict.reason or Reason.NOT_FOUND)
            return None
        return self._reply(asked, near[verdict.served].entry, Outcome.SEMANTIC)

    def _reply(self, asked: Question, entry: Entry, outcome: Outcome) -> Reply | None:
        """The hit, unless the client wants a younger one."""
        now = self._clock.now()
        if reason := why_too_old(now - entry.created_at, asked.call):
            asked.trail.refused(outcome.value, reason)
            return None
        asked.trail.hit(outcome, entry.id, entry.answered_model, entry.provider)
        asked.trail.age_s = now - entry.created_at
        usage = entry.completion.usage
        asked.trail.saved_cache = self._worth(entry.provider, entry.answered_model, usage)
        return Reply(asked.trail, entry.completion, ttl_s=entry.expires_at - now, replayed=True)

"""Asks a route's targets for an answer and records every attempt, whatever comes of it.

It acts on what `retry`, `breaker` and `errand` decide: the drawn target first, then the
route's others, then its fallbacks; each is asked again as its policy allows. Targets whose
breaker is open are passed over, and named. Nothing is tried in silence: every attempt is
in the caller's list, and in the error where nobody has answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from random import random
from typing import Protocol, TypeAlias

from sidecar.clock import Clock
from sidecar.domain import Attempt, Call, ChatRequest, Chunk, Completion, Json, Timeouts
from sidecar.errors import InvalidRequestError, OverloadedError, UpstreamError
from sidecar.events import FirstToken, Observers
from sidecar.route.breaker import Admission, Word
from sidecar.route.errand import Candidate, Errand, Held
from sidecar.route.health import Health, TargetHealth, word_of
from sidecar.route.retry import Move, Repeat
from sidecar.route.table import Route, Target
from sidecar.wire.assemble import Assembler


class Provider(Protocol):
    """One way to reach models. Fails with `UpstreamError` and nothing else, but for what
    can't be said in its words: that is an `InvalidRequestError` before anything is sent.

    `client_key` is the caller's own key, for a provider that is configured to be asked with it.
    """

    async def complete(
        self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
    ) -> Completion:
        """The whole reply."""
        ...

    def stream(
        self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
    ) -> AsyncGenerator[Chunk, None]:
        """The reply as it comes; ends without an error only after a terminal event."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and who gave it."""

    completion: Completion
    target: Target
    is_fallback: bool = False


_Result: TypeAlias = Completion | UpstreamError | InvalidRequestError


class Dispatcher:
    """Acts on routes. One per process, on one event loop.

    `providers` may be replaced while calls are under way: they finish with the one they
    have begun with.
    """

    def __init__(
        self, providers: Mapping[str, Provider], clock: Clock, observers: Observers | None = None
    ) -> None:
        self.providers = providers
        self._clock = clock
        self._observers = observers or Observers()
        self._health = Health(self._observers.tell)
        self._in_flight: Counter[str] = Counter()

    @property
    def in_flight(self) -> Mapping[str, int]:
        """How many calls of each model name are with providers now."""
        return {name: calls for name, calls in self._in_flight.items() if calls}

    def states(self) -> Mapping[tuple[str, str], Mapping[str, Json]]:
        """The breaker of each target asked so far, by provider and model; others are closed.

        Each tells its `state` (closed, half_open, open), `failures` and `probe_in_s`.
        """
        return self._health.states(self._clock.tick())

    async def ask(
        self,
        call: Call,
        route: Route,
        *,
        emit: Callable[[Chunk], None],
        attempts: list[Attempt],
    ) -> Answered:
        """The answer, and who gave it; the chunks of a stream go to `emit` as they come.

        `attempts` grows as targets are tried. Raises `OverloadedError` where too many calls
        of the route's name are under way, else what `Errand.verdict` says.
        """
        if self._in_flight[route.name] >= route.max_in_flight:
            raise OverloadedError(
                f"{route.max_in_flight} calls of {route.name} are in flight, its max_in_flight",
                headers={"retry-after": "1"},
            )
        self._in_flight[route.name] += 1
        try:
            return await self._ask(Errand(call, route, Held(emit), attempts))
        finally:
            self._in_flight[route.name] -= 1

    async def _ask(self, errand: Errand) -> Answered:
        for candidate in errand.candidates(self._draw(errand)):
            health = self._health.of(candidate.target)
            admission = health.admit(self._clock.tick())
            if admission is Admission.REFUSED:
                errand.skip(candidate)
            elif answer := await self._ask_target(errand, candidate, health, admission):
                return Answered(answer, *candidate)
        if answered := await self._probe(errand):
            return answered
        raise errand.verdict(self._clock.now())

    def _draw(self, errand: Errand) -> float:
        """Where among the weighted targets this call falls."""
        sticky = errand.route.sticky
        key: str = getattr(errand.call.caller, sticky) if sticky else ""
        return errand.route.draw_of(key) if key else random()  # noqa: S311  spreads load alone

    async def _probe(self, errand: Errand) -> Answered | None:
        """Where every breaker was open, one call at a time asks the first target even so."""
        if errand.failures or not errand.skipped:
            return None
        health = self._health.of(errand.skipped[0].target)
        admission = health.admit(self._clock.tick(), forced=True)
        if admission is Admission.REFUSED:
            return None
        candidate = errand.ask_skipped()
        answer = await self._ask_target(errand, candidate, health, admission)
        return Answered(answer, *candidate) if answer else None

    async def _ask_target(
        self, errand: Errand, candidate: Candidate, health: TargetHealth, admission: Admission
    ) -> Completion | None:
        """An answer of this target, None where others are to be asked."""
        health.budget.called()
        for tried in count(1):
            result = await self._try(errand, candidate.target, health, admission)
            if isinstance(result, Completion):
                return result
            occasion = errand.occasion(tried, self._clock.now(), random())  # noqa: S311  no secret
            step = errand.failed(candidate, result, occasion)
            if errand.held.begun or step is Move.GIVE_UP:
                raise result
            if not isinstance(step, Repeat) or health.is_open:
                return None
            if not health.budget.take(self._clock.tick()):
                return None
            await asyncio.sleep(step.wait_s)
            admission = health.admit(self._clock.tick())
            if admission is Admission.REFUSED:  # others' failures have opened it meanwhile
                return None
        raise AssertionError("counting has no end")

    async def _try(
        self, errand: Errand, target: Target, health: TargetHealth, admission: Admission
    ) -> _Result:
        """One attempt, recorded however it ends."""
        began = self._clock.tick()
        status, reason, word = None, "internal", Word.UNSAID
        try:
            completion = await self._say(errand, target, began)
        except UpstreamError as error:
            status, reason, word = error.upstream_status, error.reason, word_of(error)
            return error
        except InvalidRequestError as error:
            reason = "untranslatable" if error.status == 400 else error.code
            return error
        except asyncio.CancelledError:
            reason = "cancelled"
            raise
        else:
            status, reason, word = 200, "ok", Word.WELL
            return completion
        finally:
            now = self._clock.tick()
            health.heard(word, admission, errand.route.breaker, now)
            ms = round((now - began) * 1e3, 3)
            errand.attempts.append(Attempt(target.provider, target.model, status, reason, ms))

    async def _say(self, errand: Errand, target: Target, began: float) -> Completion:
        provider, timeouts = self.providers[target.provider], errand.route.timeouts
        request, key = errand.call.request, errand.call.client_key
        if not request.stream:
            return await provider.complete(request, target.model, timeouts, client_key=key)
        assembler, held = Assembler(), errand.held
        held.restart()
        stream = provider.stream(request, target.model, timeouts, client_key=key)
        # Closed by hand, so that a cancelled call lets go of its connection at once.
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                assembler.feed(chunk)
                had_begun = held.begun
                if not held.take(chunk):
                    continue
                if not had_begun:
                    self._first_token(target, began)
                # Chunks that came in one packet would all be read before the first goes out.
                await asyncio.sleep(0)
        held.release()
        return assembler.completion()

    def _first_token(self, target: Target, began: float) -> None:
        seconds = self._clock.tick() - began
        self._observers.tell(FirstToken(target.provider, target.model, seconds))

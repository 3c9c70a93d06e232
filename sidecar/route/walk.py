"""One call's way from target to target until one answers; every attempt is recorded.

It acts on what `retry`, `breaker` and `errand` decide: the drawn target first, then the
route's others, then its fallbacks; each is asked again as its policy allows. Targets whose
breaker is open are passed over, and named. Nothing is tried in silence: every attempt is
in the caller's list, and in the error where nobody has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count
from random import random
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from sidecar.clock import Clock
from sidecar.domain import Attempt
from sidecar.errors import InvalidRequestError, UpstreamError
from sidecar.money_errors import BudgetError
from sidecar.route.breaker import Admission, Word
from sidecar.route.errand import Candidate, Errand
from sidecar.route.health import Health, TargetHealth, word_of
from sidecar.route.retry import Move, Repeat
from sidecar.route.table import Target
from sidecar.route.wishes import Provider, Wish

A = TypeVar("A")
_Failure: TypeAlias = UpstreamError | InvalidRequestError | BudgetError


class Given(NamedTuple, Generic[A]):
    """What was wanted, and who gave it."""

    answer: A
    target: Target
    is_fallback: bool = False


class Walk(Generic[A]):
    """`providers` are all that the route names, for the whole of the way."""

    __slots__ = ("_clock", "_errand", "_health", "_providers", "_wish")

    def __init__(
        self,
        errand: Errand,
        wish: Wish[A],
        providers: Mapping[str, Provider],
        health: Health,
        clock: Clock,
    ) -> None:
        self._errand = errand
        self._wish = wish
        self._providers = providers
        self._health = health
        self._clock = clock

    async def to_an_answer(self) -> Given[A]:
        """The first answer; raises what `Errand.verdict` says where there is none."""
        errand = self._errand
        for candidate in errand.candidates(self._draw()):
            health = self._health.of(candidate.target)
            admission = health.admit(self._clock.tick())
            if admission is Admission.REFUSED:
                errand.skip(candidate)
            elif given := await self._ask_target(candidate, health, admission):
                return given
        if given := await self._probe():
            return given
        raise errand.verdict(self._clock.now())

    def _draw(self) -> float:
        """Where among the weighted targets this call falls."""
        call, route = self._errand.call, self._errand.route
        key: str = getattr(call.caller, route.sticky) if route.sticky else ""
        return route.draw_of(key) if key else random()  # noqa: S311  spreads load alone

    async def _probe(self) -> Given[A] | None:
        """Where every breaker was open, one call at a time asks the first target even so."""
        errand = self._errand
        if errand.failures or not errand.skipped:
            return None
        health = self._health.of(errand.skipped[0].target)
        admission = health.admit(self._clock.tick(), forced=True)
        if admission is Admission.REFUSED:
            return None
        return await self._ask_target(errand.ask_skipped(), health, admission)

    async def _ask_target(
        self, candidate: Candidate, health: TargetHealth, admission: Admission
    ) -> Given[A] | None:
        """An answer of this target, None where others are to be asked."""
        health.budget.called()
        for tried in count(1):
            result = await self._try(candidate, health, admission)
            if isinstance(result, Given):
                return result
            occasion = self._errand.occasion(tried, self._clock.now(), random())  # noqa: S311
            step = self._errand.failed(candidate, result, occasion)
            if self._wish.begun or step is Move.GIVE_UP:
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
        self, candidate: Candidate, health: TargetHealth, admission: Admission
    ) -> Given[A] | _Failure:
        """One attempt, recorded however it ends."""
        began, target = self._clock.tick(), candidate.target
        policy = self._errand.route.breaker

        def well() -> None:
            # A probe that streams must not keep all others waiting until its answer is over.
            if admission is Admission.PROBE:
                health.heard(Word.WELL, admission, policy, self._clock.tick())

        status, reason, word = None, "internal", Word.UNSAID
        try:
            answer = await self._wish.of(self._providers[target.provider], target, well)
        except UpstreamError as error:
            status, reason, word = error.upstream_status, error.reason, word_of(error)
            return error
        except InvalidRequestError as error:
            reason = "untranslatable" if error.status == 400 else error.code
            return error
        except BudgetError as error:
            reason = error.code
            return error
        except asyncio.CancelledError:
            reason = "cancelled"
            raise
        else:
            status, reason, word = 200, "ok", Word.WELL
            return Given(answer, *candidate)
        finally:
            now = self._clock.tick()
            told = word if self._wish.tells_health else Word.UNSAID
            health.heard(told, admission, policy, now)
            ms = round((now - began) * 1e3, 3)
            self._errand.attempts.append(
                Attempt(target.provider, target.model, status, reason, ms, *self._wish.paid)
            )

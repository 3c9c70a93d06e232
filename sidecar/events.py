"""Facts for observers: frozen records that the path emits and knows no reader of.

`RequestRow` is the one record of a request: who, what, outcome, reasons, attempts,
times, money. Its fields are the columns of the request ledger. Money fields are None
until prices are known. An observer that fails is nothing to the request (`Observers`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sidecar.domain import NOTHING, Attempt, Json


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that was decided, `at_ms` milliseconds after the request came."""

    stage: str
    word: str
    at_ms: float
    detail: Mapping[str, Json] = NOTHING


class RequestRow(NamedTuple):
    """A request's whole story. Times in milliseconds, money in nano-dollars.

    A tuple, since one is made for every request and its fields are a table's columns.
    """

    id: str
    started_at: float
    endpoint: str
    # who
    tenant: str
    user: str
    feature: str
    department: str
    session: str
    client: str
    trace_parent: str
    # what
    model: str
    variant: str
    stream: bool
    prompt: str
    scope: str
    key: str
    # outcome
    status: int
    error: str
    outcome: str
    reason: str
    stored: bool
    store_reason: str
    entry: str
    similarity: float | None
    confidence: float | None
    threshold: float | None
    age_s: float | None
    answered_model: str
    answered_provider: str
    degraded: str
    # the way
    attempts: tuple[Attempt, ...]
    decisions: tuple[Decision, ...]
    stages_ms: Mapping[str, float]
    # times
    total_ms: float
    provider_ms: float
    first_token_ms: float | None
    # tokens and money
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    reasoning_tokens: int | None
    context_tokens_removed: int | None
    cost_nanousd: int | None
    saved_cache_nanousd: int | None
    saved_context_nanousd: int | None
    saved_route_nanousd: int | None
    cache_write_tokens: int | None = None
    unpriced: bool = False
    """A provider was paid and the price is not known: `cost_nanousd` tells less than the truth."""
    estimated: bool = False
    """A part of the cost is an upper bound, for the provider did not say what was used."""

    @property
    def joined(self) -> bool:
        """Whether another request's flight was shared: its attempts are counted by that one's
        row, unless that one left and this one inherited it.
        """
        said = [each.word for each in self.decisions if each.stage == "flight"]
        while "parted" in said:  # what came before was another flight, and nothing came of it
            del said[: said.index("parted") + 1]
        words = set(said)
        return "inherited" not in words and (self.outcome == "coalesced" or bool(words))

    @property
    def overhead_ms(self) -> float:
        """Time not spent waiting for a provider."""
        return max(0.0, self.total_ms - self.provider_ms)


@dataclass(frozen=True, slots=True)
class EntriesEvicted:
    """Entries left the cache for `reason`: expired, entries, memory, disk, purged, damaged."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A target's breaker is closed (0), half-open (1) or open (2) from now on."""

    provider: str
    model: str
    state: int


@dataclass(frozen=True, slots=True)
class FirstToken:
    """A target's stream has begun to answer, `seconds` after it was asked."""

    provider: str
    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ObserverFailed:
    """An observer dropped what it was told; `what` names it."""

    what: str


Event: TypeAlias = RequestRow | EntriesEvicted | BreakerChanged | FirstToken | ObserverFailed
Observer: TypeAlias = Callable[[Event], None]
_log = logging.getLogger(__name__)


class Observers:
    """Tells every observer; what one of them breaks is nothing to the request."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = list(observers)
        self._complained: set[int] = set()

    def add(self, observer: Observer) -> None:
        """Tell this one too from now on."""
        self._observers.append(observer)

    def tell(self, event: Event) -> None:
        """Give `event` to everyone; an observer's first failure is logged, later ones are not."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:  # whatever broke in it, the request goes on
                if id(observer) not in self._complained:
                    self._complained.add(id(observer))
                    _log.exception("an observer fails, from now on silently: %r", observer)

"""One try at a provider, and how long it may take: frozen data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a provider. `status` is None when no head came back.

    `cost_nanousd` is None where no price is known; it is an upper bound where `estimated`.
    """

    provider: str
    model: str
    status: int | None
    reason: str
    ms: float
    cost_nanousd: int | None = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for a provider, in seconds; all are bounded."""

    connect_s: float = 2.0
    first_token_s: float = 20.0
    total_s: float = 120.0
    between_tokens_s: float = 30.0

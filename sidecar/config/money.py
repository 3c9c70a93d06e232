"""Config of money and limits: prices, budgets, rate limits."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PlainSerializer

from sidecar.config.section import Section, Share, Text, Whole

Dollars: TypeAlias = Annotated[
    Decimal, Field(ge=0, le=10**9), PlainSerializer(float, return_type=float, when_used="json")
]
Label = Literal["user", "feature", "department", "tenant", "model"]


class Price(Section):
    """Dollars for a million tokens of one model."""

    input: Dollars = Field(description="Tokens of the prompt.")
    cached_input: Dollars | None = Field(
        default=None,
        description="Tokens of the prompt that the provider had cached; null: as input.",
    )
    output: Dollars = Field(description="Tokens of the answer, reasoning included.")


class Step(Section):
    """What happens once a part of a budget is spent."""

    at: Share = Field(description="The part of the limit from which this holds.")
    do: Literal["use_variant", "cache_only", "reject"] = Field(description="What happens.")
    variant: Text | None = Field(default=None, description="The variant that use_variant takes.")


class Budget(Section):
    """A limit on dollars in a window of time."""

    name: Text = Field(description="How errors, headers and metrics call it.")
    match: Mapping[Label, Text] = Field(
        default_factory=dict, description="Patterns of the calls that it pays for."
    )
    limit_usd: Dollars = Field(description="Dollars in one window.")
    window: Literal["minute", "hour", "day", "week", "month"] = Field(
        default="day", description="When it starts anew."
    )
    timezone: Text = Field(default="UTC", description="Where the window begins, as an IANA name.")
    ladder: tuple[Step, ...] = Field(
        default=(), description="Softer steps on the way to the limit."
    )


class RateLimit(Section):
    """Requests and tokens in a minute."""

    match: Mapping[Label, Text] = Field(
        default_factory=dict, description="Patterns of the calls that it counts, each value apart."
    )
    requests_per_minute: Whole | None = Field(
        default=None, ge=1, le=10**9, description="Requests; null: any."
    )
    tokens_per_minute: Whole | None = Field(
        default=None, ge=1, le=10**12, description="Tokens; null: any."
    )

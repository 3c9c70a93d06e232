"""Config of money and limits: prices, budgets, rate limits."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, PlainSerializer

from sidecar.config.section import Says, Section, Share, Text, Whole

Dollars: TypeAlias = Annotated[
    Decimal, Field(ge=0, le=10**9), PlainSerializer(float, return_type=float, when_used="json")
]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no time zone") from None
    return name


TimeZone: TypeAlias = Annotated[
    str, AfterValidator(_known_zone), Says("an IANA time zone such as Europe/Berlin")
]
Label = Literal["user", "feature", "department", "tenant", "model"]


class Price(Section):
    """Dollars for a million tokens of one model.

    What is null is not taken from the shipped table, but the two limits are.
    """

    input: Dollars = Field(description="Tokens of the prompt.")
    cached_input: Dollars | None = Field(
        default=None,
        description="Tokens of the prompt that the provider had cached; null: as input.",
    )
    cache_write: Dollars | None = Field(
        default=None,
        description="Tokens of the prompt that the provider caches anew (kept for an hour:"
        " 1.6 times that, of Claude); null: as input, of Claude 1.25 times that.",
    )
    output: Dollars = Field(description="Tokens of the answer.")
    reasoning: Dollars | None = Field(
        default=None, description="Tokens of the answer that were thought; null: as output."
    )
    max_input_tokens: Whole | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="Most that the model reads, which bounds what can't be counted here, such"
        " as a file; null: of the shipped table.",
    )
    max_output_tokens: Whole | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="Most that the model writes; null: of the shipped table.",
    )


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
    each: tuple[Label, ...] = Field(
        default=(), description="Labels whose every value has this limit for itself."
    )
    limit_usd: Dollars = Field(description="Dollars in one window.")
    window: Literal["minute", "hour", "day", "week", "month"] = Field(
        default="day", description="When it starts anew."
    )
    timezone: TimeZone = Field(
        default="UTC", description="Where the window begins, as an IANA name."
    )
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

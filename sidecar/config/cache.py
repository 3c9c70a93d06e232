"""Config of the cache: what is served, how sure it must be, how much is kept."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from sidecar.config.section import Duration, Number, Says, Section, Share, Size, Text, Whole
from sidecar.domain import SharingScope

Mode: TypeAlias = Literal["serve", "shadow", "off"]
ToolCaching: TypeAlias = Literal["off", "exact"]
MAX_TTL_S = 3650 * 86_400.0


def _threshold(value: object) -> object:
    if value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a threshold")  # noqa: TRY004 (pydantic reads ValueError only)
    if not 0 <= float(value) <= 1:
        raise ValueError("not a threshold")
    return float(value)


Threshold: TypeAlias = Annotated[
    Literal["auto"] | float,
    BeforeValidator(_threshold),
    Says("auto or a number between 0 and 1"),
]


class Audit(Section):
    """How much is asked again in the background, to know how often the cache is wrong."""

    share: Share = Field(default=0.01, description="Part of semantic hits that is asked again.")
    near_miss_share: Share = Field(
        default=0.002, description="Part of near misses that is asked again."
    )
    budget_usd_per_day: Number = Field(
        default=1, ge=0, le=1_000_000, description="Dollars a day that audits may cost."
    )


class RuleMatch(Section):
    """Patterns (`*`, `?`, `[…]`) that a call must all match; none matches every call."""

    feature: Text | None = Field(default=None, description="Pattern of the feature tag.")
    model: Text | None = Field(default=None, description="Pattern of the model asked for.")
    department: Text | None = Field(default=None, description="Pattern of the department tag.")
    tenant: Text | None = Field(default=None, description="Pattern of the tenant.")
    user: Text | None = Field(default=None, description="Pattern of the user tag.")
    endpoint: Text | None = Field(
        default=None,
        description="Pattern of the endpoint: chat, responses, messages or embeddings.",
    )


class RuleSet(Section):
    """What a rule changes; a key that is absent changes nothing."""

    mode: Mode | None = Field(default=None, description="Like cache.mode.")
    max_wrong_hit_rate: Share | None = Field(
        default=None, description="Like cache.max_wrong_hit_rate."
    )
    threshold: Threshold | None = Field(default=None, description="Like cache.threshold.")
    verify: bool | None = Field(default=None, description="Like cache.verify.")
    ttl_s: Duration | None = Field(
        default=None, alias="ttl", ge=0, le=MAX_TTL_S, description="Like cache.ttl."
    )
    scope: SharingScope | None = Field(default=None, description="Like cache.scope.")
    max_temperature: Number | None = Field(
        default=None, ge=0, le=2, description="Like cache.max_temperature."
    )
    tools: ToolCaching | None = Field(default=None, description="Like cache.tools.")
    stale_if_error_s: Duration | None = Field(
        default=None,
        alias="stale_if_error",
        ge=0,
        le=MAX_TTL_S,
        description="Like cache.stale_if_error.",
    )


class Rule(Section):
    """Other settings for some calls; of two rules that match, the later one wins."""

    match: RuleMatch = Field(default=RuleMatch(), description="For which calls.")
    set: RuleSet = Field(description="What holds for them instead.")


class Cache(Section):
    """The cache."""

    mode: Mode = Field(
        default="serve", description="serve hits; shadow: decide and record, don't serve; or off."
    )
    max_wrong_hit_rate: Share = Field(
        default=0.02,
        description="Largest part of semantic hits that may be wrong; drives the threshold.",
    )
    threshold: Threshold = Field(
        default="auto", description="Least confidence of a semantic hit, or auto to derive it."
    )
    verify: bool = Field(
        default=True, description="Whether near questions are verified before a hit."
    )
    ttl_s: Duration = Field(
        default=86_400.0,
        alias="ttl",
        ge=0,
        le=MAX_TTL_S,
        description="How long an answer is served.",
    )
    max_entries: Whole = Field(
        default=100_000, ge=1, le=100_000_000, description="How many answers are kept."
    )
    max_memory_bytes: Size = Field(
        default=128 * 2**20,
        alias="max_memory",
        ge=2**20,
        le=2**40,
        description="Memory for entries and vectors.",
    )
    max_disk_bytes: Size = Field(
        default=2**30, alias="max_disk", ge=2**20, le=2**46, description="Disk for answers."
    )
    disclose: bool = Field(
        default=True, description="Whether replies tell similarity, confidence, entry and age."
    )
    store_fallback: bool = Field(
        default=False, description="Whether a fallback's or a degraded route's answers are stored."
    )
    audit: Audit = Field(default=Audit(), description="Checks in the background.")
    scope: SharingScope = Field(
        default=SharingScope.TENANT,
        description="Among whom answers are shared: tenant, user or shared.",
    )
    max_temperature: Number = Field(
        default=0.3, ge=0, le=2, description="Above this temperature nothing is cached."
    )
    tools: ToolCaching = Field(
        default="exact", description="Whether calls that offer tools use the exact tier, or none."
    )
    stale_if_error_s: Duration = Field(
        default=600.0,
        alias="stale_if_error",
        ge=0,
        le=MAX_TTL_S,
        description="How long past its TTL an answer may stand in for a failing provider.",
    )
    rules: tuple[Rule, ...] = Field(
        default=(), description="Other settings for some calls, in order."
    )

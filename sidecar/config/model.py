"""The whole config: every key with its default, limits and help side by side.

Parsed once, frozen, valid from birth: fields first, then what holds between sections,
then what this version could not keep its word on. Attributes carry their unit
(`cache.ttl_s`) where the file's key does not (`cache.ttl`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from sidecar.config import checks, defaults, not_yet
from sidecar.config.assets import Context, Prompts
from sidecar.config.cache import Cache
from sidecar.config.explain import refusal
from sidecar.config.money import Budget, Price, RateLimit
from sidecar.config.routes import Model, Provider
from sidecar.config.section import Section, Text, Whole
from sidecar.config.server import (
    Admin,
    Client,
    Embedding,
    Listen,
    Log,
    Redis,
    Tags,
    UsageLedger,
)
from sidecar.config.validate import InvalidTreeError, validate
from sidecar.errors import ConfigError


class Config(Section):
    """What the sidecar does, as its operator wants it."""

    listen: Listen = Field(default=Listen(), description="Where apps ask.")
    admin: Admin = Field(default=Admin(), description="Where operators and probes ask.")
    clients: tuple[Client, ...] = Field(
        default=(), description="Callers known by key; none: any key."
    )
    state_dir: Text = Field(
        default=".sidecar", description="Folder of all that outlives the process."
    )
    log: Log = Field(default=Log(), description="What is written to stderr.")
    tags: Tags = Field(default=Tags(), description="Usage tags of requests.")
    embedding: Embedding = Field(
        default=Embedding(), description="The model that turns questions into vectors."
    )
    cache: Cache = Field(default=Cache(), description="The cache.")
    redis: Redis = Field(default=Redis(), description="The tier that sidecars share.")
    providers: Mapping[Text, Provider] = Field(
        default_factory=lambda: defaults.providers({}),
        validate_default=True,
        description="Who can be asked, by name.",
    )
    models: Mapping[Text, Model] = Field(
        default_factory=lambda: defaults.models({}),
        validate_default=True,
        description="What apps may ask for, and who answers.",
    )
    prices: Mapping[Text, Price] = Field(
        default_factory=dict, description="Dollars per million tokens, over the shipped table."
    )
    budgets: tuple[Budget, ...] = Field(default=(), description="Limits on dollars.")
    max_output_tokens: Whole = Field(
        default=4096,
        ge=1,
        le=10_000_000,
        description="Cap sent where a budget matches and none was set.",
    )
    charge_cancelled: Literal["bound", "emitted"] = Field(
        default="bound",
        description="What a budget is charged for a call that its caller left: the most that it"
        " can have cost, or its input and what had come.",
    )
    rate_limits: tuple[RateLimit, ...] = Field(
        default=(), description="Limits on requests and tokens."
    )
    prompts: Prompts = Field(default=Prompts(), description="Where stored prompts are.")
    context: Context = Field(default=Context(), description="How much context goes to a model.")
    usage: UsageLedger = Field(
        default=UsageLedger(), description="How long the ledger of requests is kept."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = [*checks.problems(self), *not_yet.refusals(self)]
        if problems:
            raise refusal("Config", problems)
        return self

    @classmethod
    def parse(cls, tree: Mapping[str, Any]) -> Config:
        """The config of a mapping with the file's keys; `ConfigError`, a line a problem.

        Models and providers that are left out are the embedded ones, simulated.
        """
        try:
            return validate(cls, defaults.completed(tree, {}))
        except InvalidTreeError as error:
            raise ConfigError(str(error)) from None

    def masked(self) -> dict[str, Any]:
        """The whole config with the file's keys, as plain values, secrets masked."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """A line for each setting that is accepted and not in force in this version."""
        return tuple(not_yet.notes(self))

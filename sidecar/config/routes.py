"""Config of providers and of the models that apps ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from sidecar.config.section import BaseUrl, Duration, Number, Secret, Section, Text, Whole

FROM_CLIENT = "from_client"
"""The `api_key` that passes the caller's own key on."""

_KEY_HELP = "The key it is asked with; from_client: the caller's own; null for none."
_FILE_HELP = "A file that holds the key, read again when it changes; null for none."
HOUR_S = 3600.0


class OpenAIProvider(Section):
    """A server that speaks OpenAI's API: OpenAI, vLLM, Ollama and many more."""

    kind: Literal["openai"] = Field(description="What it speaks.")
    base_url: BaseUrl = Field(
        default="https://api.openai.com/v1", description="Its address up to and with /v1."
    )
    api_key: Secret | None = Field(default=None, description=_KEY_HELP)
    api_key_file: Text | None = Field(default=None, description=_FILE_HELP)


class AnthropicProvider(Section):
    """A server that speaks Anthropic's API."""

    kind: Literal["anthropic"] = Field(description="What it speaks.")
    base_url: BaseUrl = Field(default="https://api.anthropic.com", description="Its address.")
    api_key: Secret | None = Field(default=None, description=_KEY_HELP)
    api_key_file: Text | None = Field(default=None, description=_FILE_HELP)


class AzureProvider(Section):
    """OpenAI's models in Azure, by deployment."""

    kind: Literal["azure"] = Field(description="What it speaks.")
    base_url: BaseUrl = Field(description="The resource's address.")
    api_key: Secret | None = Field(default=None, description=_KEY_HELP)
    api_key_file: Text | None = Field(default=None, description=_FILE_HELP)
    api_version: Text = Field(default="2024-10-21", description="Version of Azure's API.")


class SimulatedProvider(Section):
    """The shipped stand-in: invents answers, asks nobody, costs nothing."""

    kind: Literal["simulated"] = Field(description="What it speaks.")
    latency_ms: Number = Field(default=300, ge=0, le=60_000, description="Time to its first token.")
    tokens_per_s: Number = Field(default=80, gt=0, le=1_000_000, description="How fast it writes.")


Provider: TypeAlias = Annotated[
    OpenAIProvider | AnthropicProvider | AzureProvider | SimulatedProvider,
    Field(discriminator="kind"),
]


class Fallback(Section):
    """Who answers when the targets fail."""

    provider: Text = Field(description="A name under providers.")
    model: Text = Field(description="What the model is called there.")


class Target(Fallback):
    """Who answers."""

    weight: Number = Field(
        default=100,
        gt=0,
        le=1_000_000,
        description="Its part of the traffic, beside the others' weights.",
    )


Targets: TypeAlias = Annotated[tuple[Target, ...], Field(min_length=1)]
FallbackOn: TypeAlias = Literal["failure", "context_window", "content_filter"]


class Retry(Section):
    """How often a target is asked again, and how long is waited before."""

    attempts: Whole = Field(default=3, ge=1, le=10, description="Tries in all, the first included.")
    base_ms: Number = Field(
        default=200, ge=0, le=60_000, description="Longest wait before the second."
    )
    max_ms: Number = Field(
        default=5000, ge=0, le=600_000, description="Longest wait before any other."
    )
    ambiguous: bool = Field(
        default=False,
        description="Whether a request that was sent and got no answer, so may be paid for, is"
        " sent to the same target again.",
    )


class Timeout(Section):
    """How long a target is waited for."""

    connect_s: Duration = Field(
        default=2.0, alias="connect", gt=0, le=HOUR_S, description="Until the connection stands."
    )
    first_token_s: Duration = Field(
        default=20.0,
        alias="first_token",
        gt=0,
        le=HOUR_S,
        description="Until the first piece of answer.",
    )
    between_tokens_s: Duration = Field(
        default=30.0,
        alias="between_tokens",
        gt=0,
        le=HOUR_S,
        description="Between two pieces of a stream.",
    )
    total_s: Duration = Field(
        default=120.0,
        alias="total",
        gt=0,
        le=HOUR_S,
        description="Until the whole answer is there.",
    )


class Breaker(Section):
    """When a failing target is left alone."""

    failures: Whole = Field(
        default=5, ge=1, le=10_000, description="Failures that open the breaker."
    )
    window_s: Duration = Field(
        default=30.0, alias="window", gt=0, le=HOUR_S, description="Time within which they count."
    )
    open_s: Duration = Field(
        default=15.0, alias="open", gt=0, le=HOUR_S, description="Time until it is tried again."
    )


class Model(Section):
    """A model name that apps ask for, and who answers."""

    targets: Targets = Field(description="Who answers; several share the traffic by weight.")
    fallbacks: tuple[Fallback, ...] = Field(
        default=(), description="Who answers when they fail, in order."
    )
    fallback_on: tuple[FallbackOn, ...] = Field(
        default=("failure", "context_window"),
        description="What they are asked after: failure, context_window, content_filter.",
    )
    sticky: Literal["session", "user"] | None = Field(
        default=None,
        description="The tag whose value always gets the same target; null: chance decides.",
    )
    variants: Mapping[str, Targets] = Field(
        default_factory=dict, description="Other lists of targets, by name."
    )
    active: Text = Field(
        default="targets", description="Which list answers: targets, or a variant's name."
    )
    retry: Retry = Field(default=Retry(), description="How often a target is asked again.")
    timeout: Timeout = Field(default=Timeout(), description="How long it is waited for.")
    breaker: Breaker = Field(default=Breaker(), description="When it is left alone.")
    max_in_flight: Whole = Field(
        default=64, ge=1, le=100_000, description="Calls at the same time."
    )

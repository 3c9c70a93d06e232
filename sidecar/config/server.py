"""Config of the process: addresses, clients, logs, tags, embedding, shared tier, ledger."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, SecretStr

from sidecar.config.address import DEFAULT_ADMIN_HOST, DEFAULT_ADMIN_PORT
from sidecar.config.section import Duration, Number, Says, Secret, Section, Text, Whole

Tag = Literal["user", "feature", "department"]
DAY_S = 86_400.0


class Listen(Section):
    """Where apps ask."""

    host: Text = Field(default="127.0.0.1", description="Address that apps connect to.")
    port: Whole = Field(default=8080, ge=0, le=65_535, description="Its port; 0 takes a free one.")
    unix_socket: Text | None = Field(
        default=None, description="Path of a Unix socket that is served too; null for none."
    )
    allowed_hosts: tuple[Text, ...] = Field(
        default=("localhost", "127.0.0.1", "[::1]"),
        description="Names that a Host header may carry, so that a web page can't reach us by DNS.",
    )
    max_body_mb: Number = Field(
        default=10, gt=0, le=1024, description="Largest request body, in millions of bytes."
    )
    drain_s: Number = Field(
        default=20,
        ge=0,
        le=3600,
        description="Seconds between SIGTERM and the end, for open calls.",
    )


class Admin(Section):
    """Where operators, probes and Prometheus ask."""

    host: Text = Field(default=DEFAULT_ADMIN_HOST, description="Address of the admin plane.")
    port: Whole = Field(
        default=DEFAULT_ADMIN_PORT, ge=0, le=65_535, description="Its port; 0 takes a free one."
    )
    token: Secret | None = Field(
        default=None,
        description="Bearer token of the admin plane; needed where it is not on loopback.",
    )
    read_only_token: Secret | None = Field(
        default=None, description="Bearer token that may look and change nothing."
    )

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


class Client(Section):
    """A caller that is known by its key, with tags that it can't forge."""

    key: Secret = Field(description="The key that this client sends as its API key.")
    tenant: str = Field(default="", description="Its tenant, whatever the request's header says.")
    tags: Mapping[Tag, str] = Field(
        default_factory=dict, description="Its tags, whatever the request says."
    )


class Log(Section):
    """What is written to stderr."""

    format: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="Lines for people (text) or machines (json); auto asks the terminal.",
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important line that is still written."
    )
    prompts: bool = Field(default=False, description="Whether prompts and answers are written too.")


class Tags(Section):
    """Usage tags of requests."""

    required: tuple[Tag, ...] = Field(
        default=(), description="Tags whose absence refuses the request with 400 missing_tag."
    )
    defaults: Mapping[Tag, str] = Field(
        default={"department": "unknown"},
        description="Values of tags that a request does not carry.",
    )


class Embedding(Section):
    """The model that turns questions into vectors."""

    model: Text = Field(
        default="default", description="A shipped model's name, or a path or hub name."
    )
    threads: Whole = Field(default=1, ge=1, le=64, description="Threads of one inference.")
    timeout_ms: Number = Field(
        default=250, gt=0, le=60_000, description="After this the request goes on as a miss."
    )
    backend: Literal["onnx", "sentence-transformers"] = Field(
        default="onnx", description="What runs it; sentence-transformers is an extra."
    )


class OnLoss(Section):
    """What holds while Redis is lost."""

    budgets: Literal["refuse", "allow"] = Field(
        default="refuse", description="Whether calls go on once the slice granted before is spent."
    )
    limits: Literal["refuse", "allow"] = Field(
        default="allow", description="Whether calls go on without rate limits."
    )


def _masked_url(url: SecretStr) -> str:
    address = url.get_secret_value()
    scheme, separator, rest = address.partition("://")
    return f"{scheme}{separator}**********@{rest.rpartition('@')[2]}" if "@" in rest else address


class Redis(Section):
    """The tier that sidecars share."""

    url: (
        Annotated[
            SecretStr,
            PlainSerializer(_masked_url, return_type=str, when_used="json"),
            Says("a redis:// or rediss:// address", quiet=True),
        ]
        | None
    ) = Field(default=None, description="Address of Redis, its password in it; null for none.")
    search: Literal["local", "remote"] = Field(
        default="local", description="Whether vectors are searched in this process or in Redis."
    )
    timeout_ms: Number = Field(
        default=50, gt=0, le=60_000, description="Longest wait for one answer."
    )
    on_loss: OnLoss = Field(default=OnLoss(), description="What holds while Redis is lost.")


class UsageLedger(Section):
    """The ledger of requests."""

    retention_s: Duration = Field(
        default=90 * DAY_S,
        alias="retention",
        gt=0,
        le=3650 * DAY_S,
        description="How long rows are kept.",
    )
    max_rows: Whole = Field(
        default=1_000_000,
        ge=1,
        le=1_000_000_000,
        description="How many rows are kept, newest first.",
    )


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"

"""Config of stored prompts and of the context gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sidecar.config.section import Section, Text, Whole


class Prompts(Section):
    """Where stored prompts are."""

    dir: Text = Field(default="prompts", description="Folder of the prompt files.")
    watch: bool = Field(
        default=True, description="Whether a changed file is taken without a restart."
    )


class Context(Section):
    """How much context goes to a model."""

    max_input_tokens: Whole | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="Most tokens of a prompt; null: the model's own window.",
    )
    strategy: Literal["relevance"] = Field(default="relevance", description="What is kept.")
    keep_last_turns: Whole = Field(
        default=4, ge=0, le=10_000, description="Turns that are always kept."
    )

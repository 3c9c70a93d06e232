"""Models of a config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .running import Provider


def one_try(targets: list[dict[str, Any]]) -> dict[str, Any]:
    """A model that asks once and whose breakers stay closed: for tests of all else."""
    return {"targets": targets, "retry": {"attempts": 1}, "breaker": {"failures": 10_000}}


def every_kind(provider: Provider) -> dict[str, Any]:
    """Sections of a config: one model behind each kind of provider."""
    return {
        "providers": {
            "o": {"kind": "openai", "base_url": provider.base_url},
            "a": {"kind": "anthropic", "base_url": provider.url, "api_key": "sk-test"},
            "z": {"kind": "azure", "base_url": provider.url, "api_key": "sk-test"},
        },
        "models": {
            "by-openai": one_try([{"provider": "o", "model": "gpt-4o"}]),
            "by-anthropic": one_try([{"provider": "a", "model": "claude-sonnet-4-5"}]),
            "by-azure": one_try([{"provider": "z", "model": "gpt-4o"}]),
        },
    }

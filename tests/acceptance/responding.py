"""A sidecar before each kind of provider, asked for Responses by plain HTTP."""

from __future__ import annotations

from typing import Any

from .models import every_kind, one_try
from .running import Provider, Reply, Sidecar, send

ASKED = "How do I reset my password?"


def mixed(provider: Provider) -> dict[str, Any]:
    """Sections of a config: a model behind each kind of provider, and models that mix them."""
    sections = every_kind(provider)
    sections["models"] |= {
        "mixed": one_try(
            [
                {"provider": "a", "model": "claude-sonnet-4-5", "weight": 100},
                {"provider": "z", "model": "gpt-4o", "weight": 100},
                {"provider": "o", "model": "gpt-4o", "weight": 0.001},
            ]
        ),
        "retried": {
            "targets": [{"provider": "o", "model": "gpt-4o"}],
            "fallbacks": [{"provider": "o", "model": "gpt-4o-mini"}],
            "retry": {"attempts": 2, "base_ms": 1, "max_ms": 2},
            "breaker": {"failures": 10_000},
        },
    }
    limit = {"match": {"feature": "scarce"}, "requests_per_minute": 1}
    return {**sections, "rate_limits": [limit]}


def post(sidecar: Sidecar, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    """A response."""
    body = {"model": "by-openai", "input": ASKED, **fields}
    return send("POST", f"{sidecar.url}/responses", body, headers)

"""The config that holds when none is given: four models, real where a key is at hand.

Without providers a config gets these, without models it gets these too unless it names
its own providers: which of them should answer for which name is then not ours to guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.config.model import Config

SIMULATED = "sim"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A provider that is used when its key is in the environment."""

    name: str
    kind: str
    key: str
    base_url: str
    models: tuple[str, ...]


VENDORS = (
    Vendor(
        "openai",
        "openai",
        "OPENAI_API_KEY",
        "https://api.openai.com/v1",
        ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small"),
    ),
    Vendor(
        "claude",
        "anthropic",
        "ANTHROPIC_API_KEY",
        "https://api.anthropic.com",
        ("claude-sonnet-4-5",),
    ),
)
_ORDER = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "text-embedding-3-small")


def providers(environ: Mapping[str, str]) -> dict[str, Any]:
    """The vendors whose key is at hand, and the simulated provider."""
    real = {
        vendor.name: {
            "kind": vendor.kind,
            "base_url": vendor.base_url,
            "api_key": environ[vendor.key],
        }
        for vendor in VENDORS
        if environ.get(vendor.key)
    }
    return {**real, SIMULATED: {"kind": "simulated", "latency_ms": 300, "tokens_per_s": 80}}


def models(environ: Mapping[str, str]) -> dict[str, Any]:
    """The four models, each answered by its vendor or simulated."""
    owners = {
        model: vendor.name if environ.get(vendor.key) else SIMULATED
        for vendor in VENDORS
        for model in vendor.models
    }
    return {name: {"targets": [{"provider": owners[name], "model": name}]} for name in _ORDER}


def completed(tree: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The tree with the embedded providers and models where it gives none."""
    # A key with nothing beside it, all beneath commented out, is no key.
    filled = {key: value for key, value in tree.items() if value is not None}
    own_providers = "providers" in filled
    if not own_providers:
        filled["providers"] = providers(environ)
    if "models" not in filled:
        filled["models"] = {} if own_providers else models(environ)
    return filled


def provider_line(config: Config) -> str:
    """One line that says which models are real and which are simulated."""
    by_provider: dict[str, list[str]] = {}
    for name, model in config.models.items():
        answering = model.variants.get(model.active, model.targets)
        for provider in dict.fromkeys(target.provider for target in answering):
            by_provider.setdefault(provider, []).append(name)
    return "; ".join(_answers(config, name, served) for name, served in by_provider.items())


def _answers(config: Config, name: str, served: list[str]) -> str:
    shown = ", ".join(served[:6]) + (f" and {len(served) - 6} more" if len(served) > 6 else "")
    if config.providers[name].kind != "simulated":
        return f"{name} answers {shown}"
    keys = [vendor.key for vendor in VENDORS if set(vendor.models) & set(served)]
    hint = f" (for real answers set {' and '.join(keys)}, or configure a provider)" if keys else ""
    return f"{shown}: simulated{hint}"

"""What must hold between the sections of a config. Pure: a config in, problems out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sidecar.config.explain import did_you_mean
from sidecar.config.problem import Path, Problem

if TYPE_CHECKING:
    from sidecar.config.model import Config
    from sidecar.config.routes import Fallback, Model


def problems(config: Config) -> Iterator[Problem]:
    """All of them, each at the key that should change."""
    yield from _addresses(config)
    yield from _rules(config)
    if not config.models:
        yield Problem(
            ("models",),
            "missing: say what apps ask for and who answers, such as "
            f"gpt-4o: {{targets: [{{provider: {next(iter(config.providers), 'NAME')}, "
            "model: gpt-4o}]}",
        )
    for name, model in config.models.items():
        yield from _model(config, name, model)


def _addresses(config: Config) -> Iterator[Problem]:
    if config.listen.port == config.admin.port != 0:
        # Of the two, the one that was written down is the one to change.
        given = "listen" if "port" in config.listen.model_fields_set else "admin"
        yield Problem((given, "port"), "the same as the other port: give each its own")
    if config.admin.token is None and not config.admin.on_loopback:
        yield Problem(
            ("admin", "token"), "missing: needed because admin.host can be reached from elsewhere"
        )


def _rules(config: Config) -> Iterator[Problem]:
    for place, rule in enumerate(config.cache.rules):
        if not rule.set.model_fields_set:
            yield Problem(("cache", "rules", place, "set"), "changes nothing: name a setting")


def _model(config: Config, name: str, model: Model) -> Iterator[Problem]:
    at: Path = ("models", name)
    if model.active != "targets" and model.active not in model.variants:
        told = did_you_mean(model.active, ["targets", *model.variants])
        yield Problem((*at, "active"), f"neither targets nor one of the variants{told}")
    if "targets" in model.variants:
        yield Problem((*at, "variants", "targets"), "this name means the model's own targets")
    lists: dict[Path, Sequence[Fallback]] = {
        ("targets",): model.targets,
        ("fallbacks",): model.fallbacks,
    }
    for variant, targets in model.variants.items():
        lists["variants", variant] = targets
    for key, listed in lists.items():
        for place, target in enumerate(listed):
            yield from _provider(config, target, (*at, *key, place, "provider"))


def _provider(config: Config, target: Fallback, path: Path) -> Iterator[Problem]:
    if target.provider not in config.providers:
        told = did_you_mean(target.provider, config.providers)
        yield Problem(path, f"no provider has this name{told}")

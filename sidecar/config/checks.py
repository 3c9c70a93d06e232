"""What must hold between the sections of a config. Pure: a config in, problems out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sidecar.config.explain import did_you_mean
from sidecar.config.problem import Path, Problem, dotted

if TYPE_CHECKING:
    from sidecar.config.model import Config
    from sidecar.config.routes import Fallback, Model


def problems(config: Config) -> Iterator[Problem]:
    """All of them, each at the key that should change."""
    yield from _addresses(config)
    yield from _rules(config)
    yield from _callers(config)
    yield from _keys(config)
    yield from _budgets(config)
    if not config.models:
        yield Problem(
            ("models",),
            "missing: say what apps ask for and who answers, such as "
            f"gpt-4o: {{targets: [{{provider: {next(iter(config.providers), 'NAME')}, "
            "model: gpt-4o}]}",
        )
    for name, model in config.models.items():
        yield from _model(config, name, model)
        yield from _repeated(name, model)


def _addresses(config: Config) -> Iterator[Problem]:
    if config.listen.port == config.admin.port != 0:
        # Of the two, the one that was written down is the one to change.
        given = "listen" if "port" in config.listen.model_fields_set else "admin"
        yield Problem((given, "port"), "the same as the other port: give each its own")
    if config.admin.token is None and not config.admin.on_loopback:
        yield Problem(
            ("admin", "token"), "missing: needed because admin.host can be reached from elsewhere"
        )


def _budgets(config: Config) -> Iterator[Problem]:
    """What a budget has spent is known by its name; a step must lead somewhere."""
    first: dict[str, int] = {}
    variants = {name for model in config.models.values() for name in model.variants}
    for place, budget in enumerate(config.budgets):
        earlier = first.setdefault(budget.name, place)
        if earlier != place:
            told = f"the same as budgets[{earlier}].name: give each its own"
            yield Problem(("budgets", place, "name"), told)
        for number, step in enumerate(budget.ladder):
            path = ("budgets", place, "ladder", number, "variant")
            if step.do == "use_variant" and step.variant not in variants:
                known = ", ".join(sorted(variants)) or "none"
                yield Problem(path, f"expected a variant of some model; there are: {known}")
            if step.do != "use_variant" and step.variant is not None:
                yield Problem(path, "only use_variant takes one: remove it")


def _rules(config: Config) -> Iterator[Problem]:
    for place, rule in enumerate(config.cache.rules):
        if not rule.set.model_fields_set:
            yield Problem(("cache", "rules", place, "set"), "changes nothing: name a setting")


def _callers(config: Config) -> Iterator[Problem]:
    """Of two clients with one key it would be chance which one a caller is."""
    first: dict[str, int] = {}
    for place, client in enumerate(config.clients):
        earlier = first.setdefault(client.key.get_secret_value(), place)
        if earlier != place:
            told = f"the same as clients[{earlier}].key: give each client its own"
            yield Problem(("clients", place, "key"), told)
    for place, limit in enumerate(config.rate_limits):
        if limit.requests_per_minute is None and limit.tokens_per_minute is None:
            told = "limits nothing: give requests_per_minute or tokens_per_minute"
            yield Problem(("rate_limits", place), told)


def _keys(config: Config) -> Iterator[Problem]:
    for name, provider in config.providers.items():
        if provider.kind != "simulated" and provider.api_key and provider.api_key_file:
            at: Path = ("providers", name, "api_key_file")
            yield Problem(at, "api_key gives a key too: keep one of the two")


def _model(config: Config, name: str, model: Model) -> Iterator[Problem]:
    at: Path = ("models", name)
    if name == "*":
        yield Problem(at, "this name means every model where a variant is chosen")
    if model.active != "targets" and model.active not in model.variants:
        told = did_you_mean(model.active, ["targets", *model.variants])
        yield Problem((*at, "active"), f"neither targets nor one of the variants{told}")
    if "targets" in model.variants:
        yield Problem((*at, "variants", "targets"), "this name means the model's own targets")
    for key, listed in _lists(model).items():
        for place, target in enumerate(listed):
            yield from _provider(config, target, (*at, *key, place, "provider"))


def _lists(model: Model) -> dict[Path, Sequence[Fallback]]:
    """Every list of a model that names providers."""
    lists: dict[Path, Sequence[Fallback]] = {
        ("targets",): model.targets,
        ("fallbacks",): model.fallbacks,
    }
    return lists | {("variants", name): listed for name, listed in model.variants.items()}


def _provider(config: Config, target: Fallback, path: Path) -> Iterator[Problem]:
    if target.provider not in config.providers:
        told = did_you_mean(target.provider, config.providers)
        yield Problem(path, f"no provider has this name{told}")


def _repeated(name: str, model: Model) -> Iterator[Problem]:
    """A fallback that was asked before has nothing new to say.

    Held against the model's own targets alone: for a variant they are a fallback like others.
    """
    first: dict[tuple[str, str], Path] = {}
    for key, listed in (("targets", model.targets), ("fallbacks", model.fallbacks)):
        for place, target in enumerate(listed):
            path: Path = ("models", name, key, place)
            earlier = first.setdefault((target.provider, target.model), path)
            if earlier is not path and key == "fallbacks":
                told = f"the same as {dotted(earlier[2:])}: it would be asked twice"
                yield Problem(path, told)

"""Config in the terms of each room: rooms don't read the config, they are given settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.cache.eviction import Caps
from sidecar.cache.policy import Mode, Settings, ToolPolicy
from sidecar.cache.rules import Rule
from sidecar.config import Config
from sidecar.config.cache import Cache as CacheConfig
from sidecar.config.cache import Rule as RuleConfig
from sidecar.config.routes import Model
from sidecar.config.routes import Target as TargetConfig
from sidecar.domain import Timeouts
from sidecar.route.policy import BreakerPolicy, RetryPolicy
from sidecar.route.table import TARGETS, Route, RouteTable, Target
from sidecar.web.admin import AdminSettings
from sidecar.web.chat import ChatSettings
from sidecar.web.data_plane import DataPlaneSettings


def cache_settings(config: CacheConfig) -> Settings:
    """What holds for a call that no rule names."""
    return Settings(
        mode=Mode(config.mode),
        ttl_s=config.ttl_s,
        max_temperature=config.max_temperature,
        tools=ToolPolicy(config.tools),
        sharing=config.scope,
    )


def cache_rule(config: RuleConfig) -> Rule:
    """One rule."""
    change = config.set
    return Rule(
        match=config.match.model_dump(exclude_none=True),
        mode=Mode(change.mode) if change.mode else None,
        ttl_s=change.ttl_s,
        max_temperature=change.max_temperature,
        tools=ToolPolicy(change.tools) if change.tools else None,
        sharing=change.scope,
    )


def cache_caps(config: CacheConfig) -> Caps:
    """How much is kept."""
    return Caps(
        max_entries=config.max_entries,
        max_memory_bytes=config.max_memory_bytes,
        max_disk_bytes=config.max_disk_bytes,
    )


def route_table(models: Mapping[str, Model]) -> RouteTable:
    """Who answers for which model name."""
    routes = {name: _routes(name, model) for name, model in models.items()}
    return RouteTable(routes, {name: model.active for name, model in models.items()})


def _routes(name: str, model: Model) -> dict[str, Route]:
    lists = {TARGETS: model.targets, **model.variants}
    return {variant: _route(name, model, variant, lists[variant]) for variant in lists}


def _route(name: str, model: Model, variant: str, targets: Sequence[TargetConfig]) -> Route:
    limits, retry, breaker = model.timeout, model.retry, model.breaker
    return Route(
        name,
        tuple(Target(t.provider, t.model, t.weight) for t in targets),
        Timeouts(limits.connect_s, limits.first_token_s, limits.total_s),
        variant=variant,
        fallbacks=tuple(Target(t.provider, t.model) for t in model.fallbacks),
        retry=RetryPolicy(retry.attempts, retry.base_ms / 1e3, retry.max_ms / 1e3),
        breaker=BreakerPolicy(breaker.failures, breaker.window_s, breaker.open_s),
        max_in_flight=model.max_in_flight,
    )


def data_plane_settings(config: Config) -> DataPlaneSettings:
    """The data plane's door."""
    return DataPlaneSettings(
        allowed_hosts=_hosts(config, config.listen.host),
        max_body_bytes=int(config.listen.max_body_mb * 1_000_000),
        models=tuple(config.models),
    )


def chat_settings(config: Config) -> ChatSettings:
    """The chat endpoint."""
    defaults: dict[str, str] = dict(config.tags.defaults.items())
    return ChatSettings(disclose=config.cache.disclose, tag_defaults=defaults)


def admin_settings(config: Config) -> AdminSettings:
    """The admin plane's door."""
    token = config.admin.token
    return AdminSettings(
        allowed_hosts=_hosts(config, config.admin.host),
        token=token.get_secret_value() if token else None,
    )


def _hosts(config: Config, own: str) -> frozenset[str]:
    """The names a Host header may carry: those of the config and the address listened on."""
    written = f"[{own.strip('[]')}]" if ":" in own else own
    return frozenset(host.lower() for host in (*config.listen.allowed_hosts, written))

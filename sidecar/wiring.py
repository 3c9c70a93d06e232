"""Config in the terms of each room: rooms don't read the config, they are given settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sidecar.cache.eviction import Caps
from sidecar.cache.policy import Mode, Settings, ToolPolicy
from sidecar.cache.rules import Rule
from sidecar.config import Config
from sidecar.config.cache import Cache as CacheConfig
from sidecar.config.cache import Rule as RuleConfig
from sidecar.config.money import RateLimit as RateLimitConfig
from sidecar.config.routes import Model
from sidecar.config.routes import Target as TargetConfig
from sidecar.domain import Timeouts
from sidecar.identify import IdentityRules, known_client
from sidecar.providing import is_asked_with_client_key
from sidecar.route.limits import RateLimit
from sidecar.route.policy import BreakerPolicy, FallbackOn, RetryPolicy
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
        stale_if_error_s=config.stale_if_error_s,
    )


def switch_settings(config: CacheConfig) -> tuple[Settings, list[Rule]]:
    """What the switch holds: what is allowed, and the rules."""
    return cache_settings(config), [cache_rule(rule) for rule in config.rules]


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
        stale_if_error_s=change.stale_if_error_s,
    )


def keep_stale_s(config: CacheConfig) -> float:
    """How long expired answers are kept: as long as any call may want one."""
    return max(config.stale_if_error_s, *(r.set.stale_if_error_s or 0.0 for r in config.rules), 0.0)


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
        Timeouts(limits.connect_s, limits.first_token_s, limits.total_s, limits.between_tokens_s),
        variant=variant,
        fallbacks=tuple(Target(t.provider, t.model) for t in model.fallbacks),
        retry=RetryPolicy(retry.attempts, retry.base_ms / 1e3, retry.max_ms / 1e3, retry.ambiguous),
        breaker=BreakerPolicy(breaker.failures, breaker.window_s, breaker.open_s),
        fallback_on=frozenset(map(FallbackOn, model.fallback_on)),
        max_in_flight=model.max_in_flight,
        sticky=model.sticky or "",
    )


def data_plane_settings(config: Config, models: Sequence[str]) -> DataPlaneSettings:
    """The data plane's door; `models` are the names that it lists."""
    return DataPlaneSettings(
        allowed_hosts=_hosts(config, config.listen.host),
        max_body_bytes=int(config.listen.max_body_mb * 1_000_000),
        models=models,
    )


def chat_settings(config: Config) -> ChatSettings:
    """The chat endpoints."""
    defaults: dict[str, str] = dict(config.tags.defaults.items())
    return ChatSettings(
        disclose=config.cache.disclose,
        tag_defaults=defaults,
        identity=identity_rules(config),
        rate_limits=tuple(map(rate_limit, config.rate_limits)),
    )


def identity_rules(config: Config) -> IdentityRules:
    """Who may ask, and as whom."""
    known = (
        known_client(client.key.get_secret_value(), client.tenant, dict(client.tags.items()))
        for client in config.clients
    )
    passing = frozenset(models_with_client_key(config))
    return IdentityRules(
        clients=dict(known),
        required=config.tags.required,
        passes_client_key=passing.__contains__,
    )


def models_with_client_key(config: Config) -> Iterator[str]:
    """The models of which anyone who may answer is asked with the caller's own key."""
    for name, model in config.models.items():
        lists = (model.targets, model.fallbacks, *model.variants.values())
        named = {target.provider for listed in lists for target in listed}
        if any(is_asked_with_client_key(config.providers[each]) for each in named):
            yield name


def targets(config: Config) -> set[tuple[str, str]]:
    """Provider and model of everyone who may answer."""
    return {
        (target.provider, target.model)
        for model in config.models.values()
        for listed in (model.targets, model.fallbacks, *model.variants.values())
        for target in listed
    }


def rate_limit(config: RateLimitConfig) -> RateLimit:
    """One limit. Its patterns in one order, however the file has them."""
    return RateLimit(
        tuple(sorted(config.match.items())), config.requests_per_minute, config.tokens_per_minute
    )


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

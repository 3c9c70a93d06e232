"""Config in the terms of each room."""

from dataclasses import replace

import pytest

from sidecar import wiring
from sidecar.cache.policy import Mode, Settings, ToolPolicy
from sidecar.config import Config
from sidecar.domain import SharingScope, Timeouts
from sidecar.identify import require_client
from sidecar.route.limits import RateLimit
from sidecar.route.policy import BreakerPolicy, FallbackOn, RetryPolicy
from sidecar.route.table import Route, Target


def config(**changes: object) -> Config:
    """The default config with some keys set."""
    return Config.model_validate(changes)


def test_the_default_config_is_the_default_of_the_rooms():
    """Two tables of defaults would drift apart; these don't."""
    assert wiring.cache_settings(config().cache) == Settings()


def test_what_config_says_reaches_the_cache():
    """Each key in its place."""
    said = {"mode": "shadow", "ttl": "5m", "max_temperature": 0, "tools": "off", "scope": "user"}
    told = wiring.cache_settings(config(cache={**said, "stale_if_error": "1h"}).cache)
    assert told == Settings(Mode.SHADOW, 300.0, 0.0, ToolPolicy.OFF, SharingScope.USER, 3600.0)


def test_a_rule_changes_only_what_it_names():
    """The rest stays None."""
    rules = [{"match": {"model": "gpt-*"}, "set": {"ttl": "0s", "mode": "off"}}]
    rule = wiring.cache_rule(config(cache={"rules": rules}).cache.rules[0])
    told = (rule.match, rule.mode, rule.ttl_s, rule.tools, rule.sharing, rule.max_temperature)
    assert told == ({"model": "gpt-*"}, Mode.OFF, 0.0, None, None, None)


def test_what_config_says_of_a_model_reaches_its_route():
    """Each key in its place, and in every variant."""
    said = {
        "targets": [{"provider": "sim", "model": "a", "weight": 3}],
        "fallbacks": [{"provider": "sim", "model": "b"}],
        "fallback_on": ["content_filter"],
        "sticky": "session",
        "variants": {"cheap": [{"provider": "sim", "model": "c"}]},
        "active": "cheap",
        "retry": {"attempts": 2, "base_ms": 10, "max_ms": 20, "ambiguous": True},
        "timeout": {"connect": "1s", "first_token": "2s", "between_tokens": "3s", "total": "4s"},
        "breaker": {"failures": 6, "window": "7s", "open": "8s"},
        "max_in_flight": 9,
    }
    table = wiring.route_table(config(models={"m": said}).models)
    route = table.require("m", "targets")
    assert table.require("m").targets == (Target("sim", "c"),)
    assert (route.targets, route.fallbacks) == ((Target("sim", "a", 3),), (Target("sim", "b"),))
    assert route.fallback_on == {FallbackOn.CONTENT_FILTER}
    assert (route.sticky, route.max_in_flight) == ("session", 9)
    assert route.retry == RetryPolicy(2, 0.01, 0.02, ambiguous=True)
    assert route.timeouts == Timeouts(1, 2, 4, between_tokens_s=3)
    assert route.breaker == BreakerPolicy(6, 7, 8)


def test_the_default_of_a_model_is_the_default_of_its_route_but_for_fallbacks():
    """Config also falls back on a model with a larger window; two tables don't drift apart."""
    route = wiring.route_table(config().models).require("gpt-4o")
    plain = Route("gpt-4o", route.targets)
    assert replace(route, fallback_on=plain.fallback_on) == plain
    assert route.fallback_on == {FallbackOn.FAILURE, FallbackOn.CONTEXT_WINDOW}


CLIENT = {"key": "k1", "tenant": "shop", "tags": {"department": "sales"}}


def test_clients_are_known_by_digest_with_what_config_binds_to_them():
    """The key itself is nowhere."""
    rules = wiring.identity_rules(config(clients=[CLIENT], tags={"required": ["user"]}))
    client = require_client({"x-api-key": "k1"}, rules)
    assert client is not None
    assert (client.tenant, client.tags) == ("shop", {"department": "sales"})
    assert rules.required == ("user",)
    assert "k1" not in repr(rules)


@pytest.mark.parametrize("place", ["targets", "fallbacks", "variants"])
def test_a_callers_key_is_passed_on_wherever_one_who_may_answer_wants_it(place):
    """Else its answers would be shared with who came with another key."""
    theirs, ours = {"provider": "theirs", "model": "m"}, {"provider": "ours", "model": "m"}
    model = {"targets": [ours]} | {place: {"v": [theirs]} if place == "variants" else [theirs]}
    rules = wiring.identity_rules(
        config(
            providers={
                "theirs": {"kind": "openai", "api_key": "from_client"},
                "ours": {"kind": "openai", "api_key": "k"},
            },
            models={"m": model, "n": {"targets": [ours]}},
        )
    )
    assert [rules.passes_client_key(name) for name in ("m", "n", "x")] == [True, False, False]


def test_everyone_who_may_answer_is_a_target():
    """For the metrics' labels."""
    named = [{"provider": "sim", "model": name} for name in "abc"]
    model = {"targets": named[:1], "fallbacks": named[1:2], "variants": {"v": named[2:]}}
    told = wiring.targets(config(models={"m": model}))
    assert told == {("sim", "a"), ("sim", "b"), ("sim", "c")}


def test_a_rate_limit_is_the_same_however_its_patterns_are_ordered():
    """What it has counted outlives a reload of the same config."""
    one, other = ({"user": "*", "tenant": "a"}, {"tenant": "a", "user": "*"})
    limits = config(rate_limits=[{"match": m, "tokens_per_minute": 5} for m in (one, other)])
    first, second = wiring.chat_settings(limits).rate_limits
    assert first == second == RateLimit((("tenant", "a"), ("user", "*")), None, 5)


def test_every_configured_model_has_a_route():
    """By its name, with its targets."""
    table = wiring.route_table(config().models)
    assert "gpt-4o-mini" in table.names
    assert table.require("gpt-4o-mini").targets


@pytest.mark.parametrize(
    ("host", "name"), [("fd00::5", "[fd00::5]"), ("[fd00::5]", "[fd00::5]"), ("Pod-7", "pod-7")]
)
def test_the_address_listened_on_is_a_host_that_is_let_in(host, name):
    """As a Host header writes it: IPv6 in brackets, in lower case."""
    allowed = wiring.data_plane_settings(config(listen={"host": host}), ()).allowed_hosts
    assert {name, "localhost", "127.0.0.1", "[::1]"} == allowed


def test_the_token_is_unmasked_for_the_door_alone():
    """Absent it is None, and the door asks for none."""
    assert wiring.admin_settings(config()).token is None
    assert wiring.admin_settings(config(admin={"token": "t0ken"})).token == "t0ken"  # noqa: S105


def test_megabytes_are_bytes_for_the_door():
    """A body limit in whole bytes."""
    half = config(listen={"max_body_mb": 0.5})
    assert wiring.data_plane_settings(half, ()).max_body_bytes == 500_000

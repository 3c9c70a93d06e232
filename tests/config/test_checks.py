"""What must hold between sections."""

from __future__ import annotations

from typing import Any

import pytest

from config.helpers import MODELS, lines, parsed

TARGET = {"provider": "sim", "model": "m"}


def test_the_two_ports_must_differ() -> None:
    """One would never be bound. Of the two, the one that was written is named."""
    assert lines({"admin": {"port": 8080}})[0].startswith("admin.port: ")
    assert lines({"listen": {"port": 9090}}) == [
        "listen.port: the same as the other port: give each its own"
    ]


def test_two_free_ports_may_both_be_zero() -> None:
    """Zero asks for any free port, and two of them differ."""
    assert parsed({"listen": {"port": 0}, "admin": {"port": 0}}).admin.port == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "example.org"])  # noqa: S104
def test_an_admin_plane_that_others_reach_needs_a_token(host: str) -> None:
    """It can purge the cache and switch it off."""
    assert lines({"admin": {"host": host}}) == [
        "admin.token: missing: needed because admin.host can be reached from elsewhere"
    ]
    assert parsed({"admin": {"host": host, "token": "t"}}).admin.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_an_admin_plane_on_loopback_needs_none(host: str) -> None:
    """Only this machine reaches it."""
    assert parsed({"admin": {"host": host}}).admin.token is None


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ({"targets": [TARGET, {"provider": "smi", "model": "m"}]}, "targets[1].provider"),
        (
            {"targets": [TARGET], "fallbacks": [{"provider": "x", "model": "m"}]},
            "fallbacks[0].provider",
        ),
        (
            {"targets": [TARGET], "variants": {"a": [{"provider": "x", "model": "m"}]}},
            "variants.a[0].provider",
        ),
        ({"targets": [TARGET], "active": "cheap"}, "active"),
        ({"targets": [TARGET], "variants": {"targets": [TARGET]}}, "variants.targets"),
        ({"targets": [{**TARGET, "weight": 0}]}, "targets[0].weight"),
    ],
)
def test_a_model_refers_only_to_what_exists(model: dict[str, Any], key: str) -> None:
    """Providers, variants; and every target has a part of the traffic."""
    assert [line.split(": ")[0] for line in lines({"models": {"m": model}})] == [f"models.m.{key}"]


def test_providers_without_models_are_refused() -> None:
    """Which of them should answer for which name is not ours to guess."""
    told = lines({"providers": {"mine": {"kind": "openai"}}})
    assert told == [
        "models: missing: say what apps ask for and who answers, such as "
        "gpt-4o: {targets: [{provider: mine, model: gpt-4o}]}"
    ]


def test_models_without_providers_may_use_the_embedded_ones() -> None:
    """The simulated provider is always at hand."""
    assert list(parsed({"models": MODELS}).providers) == ["sim"]


def test_a_rule_must_change_something() -> None:
    """One that changes nothing is a slip of the pen."""
    assert lines({"cache": {"rules": [{"match": {"model": "a"}, "set": {}}]}}) == [
        "cache.rules[0].set: changes nothing: name a setting"
    ]


@pytest.mark.parametrize(
    ("fallbacks", "line"),
    [
        ([TARGET], "models.m.fallbacks[0]: the same as targets[0]: it would be asked twice"),
        (
            [{**TARGET, "model": "n"}, {**TARGET, "model": "n"}],
            "models.m.fallbacks[1]: the same as fallbacks[0]: it would be asked twice",
        ),
    ],
)
def test_a_fallback_is_none_that_was_asked_before(
    fallbacks: list[dict[str, str]], line: str
) -> None:
    """It would fail for the same reason, and the client would wait twice."""
    assert lines({"models": {"m": {"targets": [TARGET], "fallbacks": fallbacks}}}) == [line]


def test_a_fallback_may_be_what_a_variant_asks() -> None:
    """And two targets may be the same, for their weights."""
    cheap = {**TARGET, "model": "n"}
    model = {"targets": [TARGET, TARGET], "fallbacks": [cheap], "variants": {"cheap": [cheap]}}
    assert parsed({"models": {"m": model}}).models["m"].fallbacks


@pytest.mark.parametrize("kind", ["openai", "anthropic", "azure"])
def test_a_provider_has_one_key(kind: str) -> None:
    """Two would make it chance which one is sent."""
    provider = {"kind": kind, "base_url": "http://h", "api_key": "k", "api_key_file": "f"}
    models = {"m": {"targets": [{"provider": "a", "model": "m"}]}}
    assert lines({"providers": {"a": provider}, "models": models}) == [
        "providers.a.api_key_file: api_key gives a key too: keep one of the two"
    ]


@pytest.mark.parametrize("key", ["api_key", "api_key_file"])
def test_the_simulated_provider_has_no_key(key: str) -> None:
    """Neither its own nor the caller's: it asks nobody."""
    provider = {"kind": "simulated", key: "from_client"}
    (line,) = lines({"providers": {"sim": provider}, "models": MODELS})
    assert line.startswith(f"providers.sim.{key}: unknown key")


def test_two_clients_have_two_keys() -> None:
    """Else it would be chance whose tags a caller gets. The key is not shown."""
    clients = [{"key": "canary"}, {"key": "other"}, {"key": "canary", "tenant": "t"}]
    assert lines({"clients": clients}) == [
        "clients[2].key: the same as clients[0].key: give each client its own"
    ]


def test_a_rate_limit_limits_something() -> None:
    """One that limits nothing is a slip of the pen."""
    assert lines({"rate_limits": [{"requests_per_minute": 1}, {"match": {"user": "*"}}]}) == [
        "rate_limits[1]: limits nothing: give requests_per_minute or tokens_per_minute"
    ]


def test_words_that_no_route_knows_are_refused_with_those_it_knows() -> None:
    """What fallbacks are asked after, and what a target sticks to."""
    model = {"targets": [TARGET], "fallback_on": ["bad_luck"], "sticky": "moon"}
    told = lines({"models": {"m": model}})
    assert [line.split(": ")[0] for line in told] == [
        "models.m.fallback_on[0]", "models.m.sticky",
    ]  # fmt: skip
    assert "context_window" in told[0]
    assert "session" in told[1]


def test_a_model_is_not_named_like_all_of_them() -> None:
    """A toggle of `*` would mean it and every other."""
    told = lines({"models": {"*": MODELS["m"]}})
    assert told == ["models.*: this name means every model where a variant is chosen"]

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

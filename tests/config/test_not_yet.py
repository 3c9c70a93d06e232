"""Settings that come later: refused where silence would cost, told where it would not."""

from __future__ import annotations

from typing import Any

import pytest

from config.helpers import MODELS, lines, parsed
from sidecar.config.not_yet import NOT_IN_FORCE, REFUSED

TARGET = {"provider": "sim", "model": "m"}
GONE = "not available in this version: remove it; "


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        (
            {"clients": [{"key": "k"}]},
            f"clients: {GONE}any client key would still be accepted",
        ),
        ({"budgets": [{"name": "a", "limit_usd": 5}]}, f"budgets: {GONE}it would not be enforced"),
        ({"rate_limits": [{}]}, f"rate_limits: {GONE}it would not be enforced"),
        ({"tags": {"required": ["user"]}}, f"tags.required: {GONE}it would not be enforced"),
        ({"redis": {"url": "redis://h"}}, f"redis.url: {GONE}nothing would be shared"),
        (
            {"admin": {"read_only_token": "t"}},
            f"admin.read_only_token: {GONE}it would not be enforced",
        ),
        (
            {"providers": {"a": {"kind": "anthropic"}}, "models": MODELS},
            f"providers.a.kind: anthropic is {GONE}it could not be asked",
        ),
        (
            {"providers": {"a": {"kind": "azure", "base_url": "http://h"}}, "models": MODELS},
            f"providers.a.kind: azure is {GONE}it could not be asked",
        ),
        (
            {"providers": {"a": {"kind": "openai", "api_key": "from_client"}}, "models": MODELS},
            f"providers.a.api_key: from_client is {GONE}it would be sent as a key",
        ),
    ],
)
def test_what_protects_money_or_access_is_refused(tree: dict[str, Any], line: str) -> None:
    """Ignoring it would be a lie: each line of the table is in force."""
    assert line in lines(tree)


def test_each_refusal_of_the_table_has_its_test() -> None:
    """A line that is added or taken out is noticed here."""
    keys = [later.key for later in REFUSED]
    assert keys == [
        "clients", "budgets", "rate_limits", "tags.required", "redis.url",
        "admin.read_only_token", "providers.*.kind", "providers.*.api_key",
    ]  # fmt: skip


def test_the_wrong_hit_rate_is_said_not_to_be_in_force_always() -> None:
    """It is the first promise that an operator relies on, so it is told unasked."""
    assert parsed({}).notes == (
        "cache.max_wrong_hit_rate is not in force yet: "
        "a semantic hit needs a cosine of at least 0.92 and equal numbers",
    )


@pytest.mark.parametrize(
    ("tree", "key"),
    [
        ({"cache": {"threshold": 0.9}}, "cache.threshold"),
        ({"cache": {"verify": False}}, "cache.verify"),
        ({"cache": {"audit": {"share": 0.5}}}, "cache.audit"),
        ({"cache": {"stale_if_error": "1h"}}, "cache.stale_if_error"),
        ({"cache": {"store_fallback": True}}, "cache.store_fallback"),
        (
            {"cache": {"rules": [{"set": {"ttl": "1h"}}, {"set": {"threshold": 0.9}}]}},
            "cache.rules[1].set.threshold",
        ),
        ({"models": {"m": {"targets": [TARGET], "fallbacks": [TARGET]}}}, "models.m.fallbacks"),
        ({"models": {"m": {"targets": [TARGET], "retry": {"attempts": 1}}}}, "models.m.retry"),
        ({"models": {"m": {"targets": [TARGET], "max_in_flight": 1}}}, "models.m.max_in_flight"),
        ({"prices": {"m": {"input": 1, "output": 2}}}, "prices"),
        ({"max_output_tokens": 5}, "max_output_tokens"),
        ({"context": {"keep_last_turns": 1}}, "context"),
    ],
)
def test_what_is_harmless_is_accepted_and_told(tree: dict[str, Any], key: str) -> None:
    """The operator learns that it changes nothing."""
    told = [note.split(" is not in force yet: ")[0] for note in parsed(tree).notes]
    assert told[1:] == [key]


def test_a_default_that_is_written_out_is_not_told() -> None:
    """Nobody is told that nothing has changed; nor is anything refused for being empty."""
    config = parsed(parsed({}).masked())
    assert len(config.notes) == 1


def test_every_key_of_the_table_exists() -> None:
    """A misspelt key would never be found, and its setting silently ignored."""
    shown = parsed(
        {
            "cache": {"rules": [{"set": {"ttl": "1h"}}]},
            "providers": {"sim": {"kind": "openai"}},
            "models": MODELS,
        }
    ).masked()
    for later in (*REFUSED, *NOT_IN_FORCE):
        assert _reach(shown, later.key.split(".")), later.key


def _reach(node: Any, steps: list[str]) -> bool:
    if not steps:
        return True
    inner = list(node.values() if isinstance(node, dict) else node) if steps[0] == "*" else []
    if steps[0] != "*" and isinstance(node, dict) and steps[0] in node:
        inner = [node[steps[0]]]
    return any(_reach(each, steps[1:]) for each in inner)

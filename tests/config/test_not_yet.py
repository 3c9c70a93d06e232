"""Settings that come later: refused where silence would cost, told where it would not."""

from __future__ import annotations

from typing import Any

import pytest

from config.helpers import MODELS, lines, parsed
from sidecar.config.not_yet import NOT_IN_FORCE, REFUSED

ASKING_A = {"m": {"targets": [{"provider": "a", "model": "m"}]}}
GONE = "not available in this version: remove it; "


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        ({"redis": {"url": "redis://h"}}, f"redis.url: {GONE}nothing would be shared"),
        (
            {"admin": {"read_only_token": "t"}},
            f"admin.read_only_token: {GONE}it would not be enforced",
        ),
    ],
)
def test_what_protects_money_or_access_is_refused(tree: dict[str, Any], line: str) -> None:
    """Ignoring it would be a lie: each line of the table is in force."""
    assert line in lines(tree)


def test_each_refusal_of_the_table_has_its_test() -> None:
    """A line that is added or taken out is noticed here."""
    keys = [later.key for later in REFUSED]
    assert keys == ["redis.url", "admin.read_only_token"]


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
        (
            {"cache": {"rules": [{"set": {"ttl": "1h"}}, {"set": {"threshold": 0.9}}]}},
            "cache.rules[1].set.threshold",
        ),
        ({"context": {"keep_last_turns": 1}}, "context"),
    ],
)
def test_what_is_harmless_is_accepted_and_told(tree: dict[str, Any], key: str) -> None:
    """The operator learns that it changes nothing."""
    told = [note.split(" is not in force yet: ")[0] for note in parsed(tree).notes]
    assert told[1:] == [key]


@pytest.mark.parametrize(
    "tree",
    [
        {"clients": [{"key": "k", "tenant": "shop"}]},
        {"rate_limits": [{"match": {"user": "*"}, "requests_per_minute": 1}]},
        {"tags": {"required": ["user"]}},
        {"budgets": [{"name": "a", "limit_usd": 5}]},
        {"prices": {"m": {"input": 1, "output": 2}}},
        {"max_output_tokens": 5, "charge_cancelled": "emitted"},
        {"usage": {"retention": "30d"}},
        {"cache": {"stale_if_error": "1h", "store_fallback": True}},
        {"providers": {"a": {"kind": "anthropic", "api_key": "from_client"}}, "models": ASKING_A},
        {
            "providers": {"a": {"kind": "azure", "base_url": "http://h", "api_key_file": "k"}},
            "models": ASKING_A,
        },
        {"models": {"m": {**MODELS["m"], "retry": {"attempts": 1}, "max_in_flight": 1}}},
    ],
)
def test_what_is_in_force_is_neither_refused_nor_told(tree: dict[str, Any]) -> None:
    """A line that was left in the table by mistake would lie."""
    assert len(parsed(tree).notes) == 1


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

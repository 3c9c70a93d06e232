"""What an operator reads when a config is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.helpers import MODELS, lines, refused


def test_a_problem_tells_file_line_key_and_what_was_expected(tmp_path: Path) -> None:
    """All that is needed to mend it, in one line."""
    text = "# first\ncache:\n  mode: shadow\n  max_wrong_hit_rate: 2%\n"
    assert refused(tmp_path, text) == [
        'sidecar.yaml:4: cache.max_wrong_hit_rate: expected a number between 0 and 1, got "2%"'
    ]


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Wrong values, unknown keys, what sections say of each other, what isn't available yet."""
    text = """\
redis: {url: "redis://h"}
listen: {port: 9090}
cache:
  tll: 1h
  ttl: 5
models:
  m: {targets: [{provider: opnai, model: m}]}
providers:
  openai: {kind: openai, base_url: ftp://x}
"""
    told = [line.split(": ")[:2] for line in refused(tmp_path, text)]
    assert told == [
        ["sidecar.yaml:1", "redis.url"],
        ["sidecar.yaml:2", "listen.port"],
        ["sidecar.yaml:4", "cache.tll"],
        ["sidecar.yaml:5", "cache.ttl"],
        ["sidecar.yaml:7", "models.m.targets[0].provider"],
        ["sidecar.yaml:9", "providers.openai.base_url"],
    ]


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        ({"cache": {"mode": "on"}}, 'cache.mode: expected one of serve, shadow, off, got "on"'),
        (
            {"cache": {"scope": "all"}},
            'cache.scope: expected one of user, tenant, shared, got "all"',
        ),
        ({"cache": {"verify": 5}}, "cache.verify: expected true or false, got 5"),
        (
            {"cache": {"threshold": 1.5}},
            "cache.threshold: expected auto or a number between 0 and 1, got 1.5",
        ),
        (
            {"cache": {"ttl": "5"}},
            "cache.ttl: expected a duration such as 24h, 10m, 2s or 500ms, "
            'between 0 and 3650d, got "5"',
        ),
        (
            {"cache": {"max_disk": "1KiB"}},
            "cache.max_disk: expected a size such as 128MiB or 1GiB, "
            'between 1MiB and 64TiB, got "1KiB"',
        ),
        (
            {"listen": {"port": True}},
            "listen.port: expected a whole number between 0 and 65535, got true",
        ),
        (
            {"listen": {"drain_s": float("nan")}},
            "listen.drain_s: expected a number between 0 and 3600, got NaN",
        ),
        ({"listen": None, "admin": []}, "admin: expected a mapping, got a list"),
        (
            {"listen": {"allowed_hosts": "a"}},
            'listen.allowed_hosts: expected a list, got "a"',
        ),
        (
            {"listen": {"unix_socket": 5}},
            "listen.unix_socket: expected a text that is not empty, or null, got 5",
        ),
        (
            {"embedding": {"timeout_ms": 0}},
            "embedding.timeout_ms: expected a number above 0 and at most 60000, got 0",
        ),
        ({"models": {"m": {}}}, "models.m.targets: missing: expected a list that is not empty"),
        (
            {"models": {"m": {"targets": []}}},
            "models.m.targets: expected a list that is not empty, got a list",
        ),
        (
            {"providers": {"a": {}}, "models": MODELS},
            "providers.a.kind: missing: expected one of openai, anthropic, azure, simulated",
        ),
        (
            {"providers": {"a": {"kind": "opanai"}}, "models": MODELS},
            'providers.a.kind: expected one of openai, anthropic, azure, simulated, got "opanai"',
        ),
        (
            {"tags": {"defaults": {"team": "x"}}},
            "tags.defaults.team: expected one of user, feature, department",
        ),
        (
            {"admin": {"token": ""}},
            "admin.token: expected a text that is not empty "
            "(quote it where it looks like a number), or null",
        ),
    ],
)
def test_the_words_say_what_to_write(tree: dict[str, Any], line: str) -> None:
    """Made from the type and its limits, not from what a library says of itself."""
    assert lines(tree) == [line]


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        ({"cache": {"tll": "1h"}}, "cache.tll: unknown key; did you mean ttl?"),
        ({"cahce": {}}, "cahce: unknown key; did you mean cache?"),
        ({"xyzzy": 1}, "xyzzy: unknown key"),
        ({"cache": {"ttl_s": 5}}, "cache.ttl_s: unknown key; did you mean ttl?"),
        (
            {"models": {"m": {**MODELS["m"], "timeout": {"conect": "1s"}}}},
            "models.m.timeout.conect: unknown key; did you mean connect?",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    tree: dict[str, Any], line: str
) -> None:
    """At every depth; the names that code uses are not the file's."""
    assert lines(tree) == [line]


def test_a_problem_stays_one_line_whatever_the_file_holds() -> None:
    """Neither a key nor a value can forge a second line."""
    assert lines({"a\nb: c": 1, "cache": {"mode": "x\ny"}}) == [
        'cache.mode: expected one of serve, shadow, off, got "x\\ny"',
        '"a\\nb: c": unknown key',
    ]


def test_a_long_value_is_shortened() -> None:
    """The line stays readable."""
    assert max(map(len, lines({"cache": {"mode": "x" * 10_000}}))) < 150


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "host",
        "http://",
        "https://user@host",
        "https://:pw@host",
        "https://host?a=b",
        "https://host#a",
        "https://host:port",
        "https://host:99999",
        "https://ho st",
        "https://host\n",
        "https://hößt",
        "https:\\\\host",
    ],
)
def test_a_base_url_holds_nothing_but_an_address(url: str) -> None:
    """No credentials, no query, no other scheme: upstreams come from config, and only so."""
    tree = {"providers": {"a": {"kind": "openai", "base_url": url}}, "models": MODELS}
    assert lines(tree)[0].startswith("providers.a.base_url: expected an http or https address")

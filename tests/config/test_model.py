"""The tree of settings: its defaults, its limits, and how it is shown."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from config.helpers import lines, parsed
from sidecar.config import describe
from sidecar.config.model import Config
from sidecar.config.section import Section
from sidecar.config.server import Redis

# The defaults that the contract promises, in its own words.
CONTRACT = """
listen:   {host: 127.0.0.1, port: 8080, unix_socket: null,
           allowed_hosts: [localhost, 127.0.0.1, "[::1]"], max_body_mb: 10, drain_s: 20}
admin:    {host: 127.0.0.1, port: 9090, token: null, read_only_token: null}
clients:  []
state_dir: .sidecar
log:      {format: auto, level: info, prompts: false}
tags:     {required: [], defaults: {department: unknown}}
embedding: {model: default, threads: 1, timeout_ms: 250, backend: onnx}
cache:
  mode: serve
  max_wrong_hit_rate: 0.02
  threshold: auto
  verify: true
  ttl: 24h
  max_entries: 100000
  max_memory: 128MiB
  max_disk: 1GiB
  disclose: true
  store_fallback: false
  audit: {share: 0.01, near_miss_share: 0.002, budget_usd_per_day: 1}
  scope: tenant
  max_temperature: 0.3
  tools: exact
  stale_if_error: 10m
  rules: []
redis:    {url: null, search: local, timeout_ms: 50, on_loss: {budgets: refuse, limits: allow}}
prices: {}
budgets: []
max_output_tokens: 4096
rate_limits: []
prompts:  {dir: prompts, watch: true}
context:  {max_input_tokens: null, strategy: relevance, keep_last_turns: 4}
"""
MODEL = """
fallbacks: []
fallback_on: [failure, context_window]
sticky: null
variants: {}
active: targets
retry: {attempts: 3, base_ms: 200, max_ms: 5000, ambiguous: false}
timeout: {connect: 2s, first_token: 20s, between_tokens: 30s, total: 2m}
breaker: {failures: 5, window: 30s, open: 15s}
max_in_flight: 64
"""


def test_an_empty_config_is_the_contract_s() -> None:
    """Every documented key has its documented default."""
    shown = parsed({}).masked()
    promised = yaml.safe_load(CONTRACT)
    assert {key: shown[key] for key in promised} == promised


def test_a_model_has_the_contract_s_defaults() -> None:
    """So has everything beneath a model name."""
    shown = parsed({}).masked()["models"]["gpt-4o"]
    promised = yaml.safe_load(MODEL)
    assert {key: shown[key] for key in promised} == promised


def test_attributes_carry_their_unit() -> None:
    """Code reads seconds and bytes, whatever the file's unit was."""
    cache = parsed({"cache": {"ttl": "1.5h", "max_memory": "2MiB", "stale_if_error": 0}}).cache
    assert (cache.ttl_s, cache.max_memory_bytes, cache.stale_if_error_s) == (5400, 2**21, 0)


def test_what_is_shown_is_a_config_again() -> None:
    """The resolved config can be saved and started with."""
    config = parsed(
        {"cache": {"ttl": "90m", "rules": [{"match": {"user": "a*"}, "set": {"ttl": "7d"}}]}}
    )
    assert Config.parse(config.masked()) == config


def test_a_config_can_t_be_changed() -> None:
    """Data is frozen: what was checked stays what it was."""
    with pytest.raises(ValidationError, match="frozen"):
        parsed({}).cache.ttl_s = 1  # type: ignore[misc]


def test_every_key_has_a_sentence_of_help() -> None:
    """Default, limits and help stand side by side; the JSON schema tells them."""
    silent = [
        f"{section.__name__}.{name}"
        for section in sections(Section)
        for name, field in section.model_fields.items()
        if not (field.description or "").endswith((".", "tenant, user or shared."))
    ]
    assert not silent


def test_every_number_is_bounded_on_both_sides() -> None:
    """So that no slip of a digit, and neither NaN nor infinity, gets through."""
    loose = [
        f"{section.__name__}.{key}"
        for section in sections(Section)
        for key, annotation in describe.fields_of(section).items()
        if {int, float, Decimal} & set(describe.branches(annotation))
        and not re.search("between|above .* and at most", describe.expected(annotation))
    ]
    assert not loose


def test_every_default_keeps_its_own_limits() -> None:
    """A default is not validated when it is used, so it is here."""
    for section in sections(Section):
        if section is Config or any(f.is_required() for f in section.model_fields.values()):
            continue  # the parts of these are sections themselves, or must be given
        given = {
            field.alias or name: section.model_construct().model_dump(mode="json", by_alias=True)[
                field.alias or name
            ]
            for name, field in section.model_fields.items()
        }
        section.model_validate(given)


def sections(base: type[BaseModel]) -> list[Any]:
    """Every section of the config."""
    found = list(base.__subclasses__())
    return found + [each for section in found for each in sections(section)]


SECRET = "s3cr3t-canary"  # noqa: S105
SECRETS = {
    "admin": {"token": SECRET},
    "providers": {"openai": {"kind": "openai", "api_key": SECRET}},
    "models": {"m": {"targets": [{"provider": "openai", "model": "m"}]}},
}


def test_secrets_are_masked_wherever_a_config_is_shown() -> None:
    """In the dump, in the repr, in the str; code that needs one asks for it by name."""
    config = parsed(SECRETS)
    assert SECRET not in f"{config.masked()} {config!r} {config} {config.model_dump_json()}"
    token = config.admin.token
    assert token is not None
    assert token.get_secret_value() == SECRET


def test_only_the_password_of_an_address_is_masked() -> None:
    """Which server it is must be seen."""
    for given, shown in (
        (f"rediss://user:{SECRET}@host:6379/0", "rediss://**********@host:6379/0"),
        (f"redis://a@b:{SECRET}@host", "redis://**********@host"),
        ("redis://host:6379", "redis://host:6379"),
    ):
        redis = Redis.model_validate({"url": given})
        assert redis.model_dump(mode="json")["url"] == shown
        assert SECRET not in repr(redis)


@pytest.mark.parametrize(
    "tree",
    [
        {"admin": SECRET},
        {"admin": {"token": [SECRET]}},
        {"admin": {"tokn": SECRET}},
        {"clients": [{"key": SECRET, "tenant": 5}]},
        {"clients": SECRET},
        {"redis": {"url": f"redis://u:{SECRET}@host"}},
        {"providers": {"a": {"kind": "openai", "base_url": f"https://u:{SECRET}@host"}}},
        {"providers": {"a": SECRET}},
        {"providers": {"a": {"kind": "simulated", "api_key": SECRET}}},
    ],
)
def test_no_error_shows_a_secret(tree: dict[str, Any]) -> None:
    """Also where it stands one level too high, or under a misspelt key."""
    assert SECRET not in " ".join(lines(tree))

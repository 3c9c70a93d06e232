"""What an operator switches and purges while requests go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .running import Provider, Sidecar

ASKED = "How do I reset my password?"
NEAR = "How can I reset my password?"
ONLY = {"Cache-Control": "only-if-cached"}


def test_off(running: Sidecar, provider: Provider) -> None:
    """Everything goes to the provider; what is stored waits for the cache to come back."""
    running.ask(ASKED)
    running.mode("off")
    replies = [running.ask(asked) for asked in (ASKED, NEAR)]
    assert {(reply.cache, reply.reason) for reply in replies} == {("bypass", "mode_off")}
    assert replies[0].headers["cache-status"] == "sidecar; fwd=bypass; detail=mode_off"
    running.mode("serve")
    assert (running.ask(ASKED).cache, provider.calls) == ("exact", 3)


@pytest.mark.parametrize("asked", [ASKED, NEAR], ids=["exact", "semantic"])
def test_shadow(running: Sidecar, provider: Provider, asked: str) -> None:
    """Decided as a hit, told so, and not served; the provider answers."""
    running.ask(ASKED)
    running.mode("shadow")
    reply = running.ask(asked)
    assert (reply.cache, reply.reason) == ("shadow", "shadow")
    assert reply.headers["cache-status"].startswith("sidecar; fwd=bypass; detail=shadow")
    assert "age" not in reply.headers
    assert provider.calls == 2


def test_shadow_without_a_hit(running: Sidecar) -> None:
    """Where nothing would have been served it is a plain miss, and is written."""
    running.mode("shadow")
    assert running.ask(ASKED).cache == "miss"
    running.mode("serve")
    assert running.ask(ASKED).cache == "exact"


def test_an_unknown_mode(running: Sidecar) -> None:
    """400, and nothing changes."""
    assert running.admin("PUT", "/api/mode", {"mode": "on"}).status == 400
    assert running.admin("GET", "/api/status").json["mode"] == "serve"


HEADERS = {"x-sidecar-tenant": "a", "x-sidecar-user": "ann", "x-sidecar-cache-tags": "faq, en"}


@pytest.mark.parametrize(
    ("selector", "other"),
    [
        ({"tag": "faq"}, {"tag": "de"}),
        ({"tag": "en"}, {"tag": "f"}),
        ({"tenant": "a"}, {"tenant": "b"}),
        ({"user": "ann"}, {"user": "an"}),
        ({"model": "gpt-4o"}, {"model": "gpt-4"}),
    ],
    ids=lambda it: next(iter(it.items()))[1],
)
def test_purge(running: Sidecar, selector: dict[str, str], other: dict[str, str]) -> None:
    """What matches is gone from both tiers at once; what does not match stays."""
    running.ask(ASKED, HEADERS)
    assert running.purge(**other)["purged"] == 0
    assert running.ask(ASKED, {**HEADERS, **ONLY}).cache == "exact"
    assert running.purge(**selector)["purged"] == 1
    assert [running.ask(asked, {**HEADERS, **ONLY}).status for asked in (ASKED, NEAR)] == [504] * 2


def test_purge_by_who_answered(serve: Callable[..., Sidecar], shared_provider: Provider) -> None:
    """Purging a model matches the one asked for and the one that answered."""
    target = {"provider": "p", "model": "gpt-4o-mini-2026"}
    aliased = serve(models={"fast": {"targets": [target]}})
    for name in ("fast", "gpt-4o-mini-2026"):
        aliased.ask(ASKED, model="fast")
        assert aliased.purge(model=name)["purged"] == 1


def test_purge_by_entry(running: Sidecar) -> None:
    """The id that a semantic hit tells names its entry."""
    running.ask(ASKED)
    entry = running.ask(NEAR).headers["x-sidecar-entry"]
    assert running.purge(entry=entry)["purged"] == 1
    missed = running.ask(NEAR, ONLY)
    # An SDK would repeat a 504 by itself, and there is nothing to be had by it.
    assert (missed.status, missed.headers["x-should-retry"]) == (504, "false")


def test_purge_tried_out(running: Sidecar) -> None:
    """A dry run counts and forgets nothing."""
    running.ask(ASKED)
    running.ask("What is the capital of France?")
    assert running.purge(all=True, dry_run=True) == {"purged": 0, "matched": 2, "dry_run": True}
    assert running.ask(ASKED, ONLY).cache == "exact"
    assert running.purge(all=True) == {"purged": 2, "matched": 2, "dry_run": False}


def test_a_tenant_keeps_what_is_its_own(running: Sidecar) -> None:
    """Purging one tenant leaves the other's equal question alone."""
    for tenant in ("a", "b"):
        running.ask(ASKED, {"x-sidecar-tenant": tenant})
    running.purge(tenant="a")
    statuses = [
        running.ask(ASKED, {"x-sidecar-tenant": tenant, **ONLY}).status for tenant in ("a", "b")
    ]
    assert statuses == [504, 200]


RULES = [
    {"match": {"feature": "draft*"}, "set": {"mode": "off"}},
    {"match": {"tenant": "trial"}, "set": {"mode": "shadow"}},
    {"match": {"department": "law"}, "set": {"scope": "user"}},
    {"match": {"model": "*-mini"}, "set": {"max_temperature": 1}},
    {"match": {"user": "tester"}, "set": {"tools": "off"}},
    {"match": {"feature": "news"}, "set": {"ttl": "60s"}},
]


@pytest.fixture(scope="module")
def ruled(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar with a rule of each kind."""
    return serve(cache={"rules": RULES})


@pytest.mark.parametrize(
    ("headers", "fields", "reason"),
    [
        ({"x-sidecar-feature": "drafts"}, {}, "mode_off"),
        ({"x-sidecar-department": "law"}, {}, "no_user"),
        ({"x-sidecar-user": "tester"}, {"tools": [{"type": "function"}]}, "tools"),
        ({}, {"temperature": 0.9}, "temperature"),
    ],
)
def test_a_rule_forbids(
    ruled: Sidecar, provider: Provider, headers: dict[str, str], fields: Any, reason: str
) -> None:
    """For the calls that it matches."""
    replies = [ruled.ask(ASKED, headers, **fields) for _ in range(2)]
    assert {(reply.cache, reply.reason) for reply in replies} == {("bypass", reason)}
    assert provider.calls == 2


def test_a_rule_allows(ruled: Sidecar, provider: Provider) -> None:
    """A temperature that config as a whole does not."""
    asked = {"model": "gpt-4o-mini", "temperature": 0.9}
    assert [ruled.ask(ASKED, **asked).cache for _ in range(2)] == ["miss", "exact"]


def test_a_rule_of_shadow(ruled: Sidecar, provider: Provider) -> None:
    """For one tenant, while the others are served."""
    outcomes = [ruled.ask(NEAR, {"x-sidecar-tenant": "trial"}).cache for _ in range(2)]
    assert outcomes == ["miss", "shadow"]
    assert [ruled.ask(NEAR, {"x-sidecar-tenant": "c"}).cache for _ in range(2)] == ["miss", "exact"]


def test_a_rule_shortens_the_ttl(ruled: Sidecar, provider: Provider) -> None:
    """The entry's time is the rule's."""
    headers = {"x-sidecar-feature": "news", "x-sidecar-tenant": "n"}
    ruled.ask(ASKED, headers)
    status = ruled.ask(ASKED, headers).headers["cache-status"]
    assert 0 < int(status.rpartition("ttl=")[2]) <= 60


def test_the_kill_switch_over_a_rule(ruled: Sidecar, provider: Provider) -> None:
    """The more careful of the two is heard."""
    ruled.mode("off")
    replies = [ruled.ask(ASKED, {"x-sidecar-tenant": "trial"}) for _ in range(2)]
    ruled.mode("serve")
    assert {reply.reason for reply in replies} == {"mode_off"}

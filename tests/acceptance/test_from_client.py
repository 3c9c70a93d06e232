"""Callers with keys of their own: what is wrong with one key is that caller's matter alone.

The simulated provider refuses by script; its ledger says who was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .running import Provider, Reply, Sidecar

MINE = {"Authorization": "Bearer sk-canary-of-a-caller"}
TRIES = 4
"""More than the breaker waits for."""


@pytest.fixture(scope="module")
def shared_sidecar(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A provider that is asked with the caller's key, and a stand-in that is asked with ours."""
    place = {"kind": "openai", "base_url": shared_provider.base_url}
    model = {
        "targets": [{"provider": "theirs", "model": "first"}],
        "fallbacks": [{"provider": "ours", "model": "spare"}],
        "breaker": {"failures": 2, "open": "1h"},
        "retry": {"attempts": 1},
    }
    return serve(
        providers={
            "theirs": {**place, "api_key": "from_client"},
            "ours": {**place, "api_key": "sk-ours"},
        },
        models={"gpt-4o": model},
        cache={"mode": "off"},
    )


def failing(running: Sidecar, provider: Provider, **fault: Any) -> list[Reply]:
    """What a caller hears whose key is refused, and who asks again and again."""
    provider.script({"match": {"model": "first"}, **fault})
    return [running.ask(f"Try {number}?", MINE) for number in range(TRIES)]


def assert_others_are_answered(running: Sidecar, provider: Provider) -> None:
    """By the target, not by its stand-in: no breaker has opened."""
    provider.forget()
    reply = running.ask("And I?", {"Authorization": "Bearer sk-another"})
    assert (reply.status, reply.headers["x-sidecar-model"]) == (200, "first")


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_lets_nobody_in_elsewhere(
    running: Sidecar, provider: Provider, status: int
) -> None:
    """The caller hears so; a stand-in with our key would answer anybody on our bill."""
    replies = failing(running, provider, status=status)
    assert {reply.status for reply in replies} == {status}
    assert {row["model"] for row in provider.ledger["requests"]} == {"first"}
    assert provider.calls == TRIES
    assert "canary" not in str([reply.body for reply in replies])
    assert_others_are_answered(running, provider)


def test_a_caller_without_quota_keeps_nobody_else_away(
    running: Sidecar, provider: Provider
) -> None:
    """Its calls are the stand-in's, as config says; the trail says whose quota it was."""
    replies = failing(running, provider, status=429, code="insufficient_quota")
    assert {reply.headers["x-sidecar-model"] for reply in replies} == {"spare"}
    told = running.row(replies[-1])["attempts"]
    assert [each["reason"] for each in told] == ["client_quota", "ok"]
    assert_others_are_answered(running, provider)


def test_a_caller_without_a_key_is_told_so_and_nobody_is_asked(
    running: Sidecar, provider: Provider
) -> None:
    """A stand-in with our key would answer anybody on our bill."""
    reply = running.ask("Without a key?")
    assert (reply.status, provider.calls) == (401, 0)
